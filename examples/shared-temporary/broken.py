"""Two savers write a file aside and rename it, as one should, but both under one temporary name."""

import os
import threading

PATH = os.path.join(os.environ["TMPDIR"], "state")


def save(text: str) -> None:
    """The other may truncate it, or rename it, between any two of these."""
    with open(PATH + ".tmp", "w", encoding="ascii") as file:
        file.write(text)
    os.replace(PATH + ".tmp", PATH)


failures: list[OSError] = []


def try_to_save(text: str) -> None:
    """A thread's exception would only be printed."""
    try:
        save(text)
    except OSError as error:
        failures.append(error)


savers = [threading.Thread(target=try_to_save, args=(text,)) for text in ("one\n", "and two\n")]
for saver in savers:
    saver.start()
for saver in savers:
    saver.join()
assert not failures, failures
with open(PATH, encoding="ascii") as state:
    assert state.read() in ("one\n", "and two\n")
