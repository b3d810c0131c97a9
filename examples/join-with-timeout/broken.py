"""A thread writes a file, and join is given 50 ms: it returns then, and does not say that nothing was joined."""

import os
import threading

PATH = os.path.join(os.environ["TMPDIR"], "report")


def write() -> None:
    """Takes as long as it takes."""
    with open(PATH, "w", encoding="ascii") as file:
        file.write("done")


writer = threading.Thread(target=write)
writer.start()
writer.join(0.05)
with open(PATH, encoding="ascii") as report:
    assert report.read() == "done"
