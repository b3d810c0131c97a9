"""Who needs the file waits for who writes it."""

import os
import threading

PATH = os.path.join(os.environ["TMPDIR"], "report")


def write() -> None:
    """However long it takes."""
    with open(PATH, "w", encoding="ascii") as file:
        file.write("done")


writer = threading.Thread(target=write)
writer.start()
writer.join()
with open(PATH, encoding="ascii") as report:
    assert report.read() == "done"
