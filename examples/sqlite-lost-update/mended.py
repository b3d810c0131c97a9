"""BEGIN IMMEDIATE takes the lock before it reads; who does not get it tries again until the busy time-out."""

import os
import sqlite3
import threading

PATH = os.path.join(os.environ["TMPDIR"], "bank")
failures: list[sqlite3.Error] = []


def run(*statements: str) -> sqlite3.Connection:
    """A connection without transactions but those that it is told."""
    connection = sqlite3.connect(PATH, isolation_level=None, timeout=0.05)
    for statement in statements:
        connection.execute(statement)
    return connection


def draw(amount: int) -> None:
    """The other waits; with so short a time-out not for long."""
    try:
        connection = run("BEGIN IMMEDIATE")
        ((left,),) = connection.execute("SELECT left FROM account").fetchall()
        connection.execute("UPDATE account SET left = ?", (left - amount,))
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        failures.append(error)


run("CREATE TABLE account (left INTEGER)", "INSERT INTO account VALUES (10)").close()
workers = [threading.Thread(target=draw, args=(amount,)) for amount in (1, 2)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
assert not failures, failures
assert run().execute("SELECT left FROM account").fetchone() == (7,)
