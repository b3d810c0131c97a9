"""Two draw from one account: each reads in one transaction and writes in the next, and both read the same."""

import os
import sqlite3
import threading

PATH = os.path.join(os.environ["TMPDIR"], "bank")


def run(*statements: str) -> sqlite3.Connection:
    """A connection without transactions but those that it is told."""
    connection = sqlite3.connect(PATH, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    return connection


def draw(amount: int) -> None:
    """Between the two statements the other may come."""
    connection = run()
    ((left,),) = connection.execute("SELECT left FROM account").fetchall()
    connection.execute("UPDATE account SET left = ?", (left - amount,))


run("CREATE TABLE account (left INTEGER)", "INSERT INTO account VALUES (10)").close()
workers = [threading.Thread(target=draw, args=(amount,)) for amount in (1, 2)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
assert run().execute("SELECT left FROM account").fetchone() == (7,)
