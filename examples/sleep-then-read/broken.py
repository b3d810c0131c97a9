"""A thread writes a file, and another gives it 50 ms for that, which is nearly always enough."""

import os
import threading
import time

PATH = os.path.join(os.environ["TMPDIR"], "report")


def write() -> None:
    """Slow disks and busy machines take longer."""
    with open(PATH, "w", encoding="ascii") as file:
        file.write("done")


writer = threading.Thread(target=write)
writer.start()
time.sleep(0.05)
with open(PATH, encoding="ascii") as report:
    assert report.read() == "done"
writer.join()
