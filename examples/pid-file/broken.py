"""A daemon writes its pid file, and a client waits until the file is there: but not until it is written."""

import os
import threading
import time

PATH = os.path.join(os.environ["TMPDIR"], "daemon.pid")


def daemon() -> None:
    """Between its open and its write the file is there and empty."""
    with open(PATH, "w", encoding="ascii") as file:
        file.write(f"{os.getpid()}\n")


threading.Thread(target=daemon).start()
while not os.path.exists(PATH):
    time.sleep(0.001)
with open(PATH, encoding="ascii") as pid_file:
    assert int(pid_file.read()) == os.getpid()
