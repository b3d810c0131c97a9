"""Each saver has a temporary file of its own."""

import os
import tempfile
import threading

PATH = os.path.join(os.environ["TMPDIR"], "state")


def save(text: str) -> None:
    """Whoever renames last has saved last."""
    file, name = tempfile.mkstemp(dir=os.path.dirname(PATH))
    with open(file, "w", encoding="ascii") as new:
        new.write(text)
    os.replace(name, PATH)


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
