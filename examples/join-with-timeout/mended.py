"""join without a time-out returns when the thread has ended."""

import os
import threading

PATH = os.path.join(os.environ["TMPDIR"], "report")


def write() -> None:
    """Takes as long as it takes."""
    with open(PATH, "w", encoding="ascii") as file:
        file.write("done")


writer = threading.Thread(target=write)
writer.start()
writer.join()
with open(PATH, encoding="ascii") as report:
    assert report.read() == "done"
