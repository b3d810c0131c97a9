"""The file comes to its name when it is written: rename(2) shows it whole or not at all."""

import os
import threading
import time

PATH = os.path.join(os.environ["TMPDIR"], "daemon.pid")


def daemon() -> None:
    """Nobody looks for the other name."""
    with open(PATH + ".new", "w", encoding="ascii") as file:
        file.write(f"{os.getpid()}\n")
    os.rename(PATH + ".new", PATH)


threading.Thread(target=daemon).start()
while not os.path.exists(PATH):
    time.sleep(0.001)
with open(PATH, encoding="ascii") as pid_file:
    assert int(pid_file.read()) == os.getpid()
