"""Two workers make a file if it is not there. Both look, neither finds it, and both make it."""

import os
import threading

PATH = os.path.join(os.environ["TMPDIR"], "owner")
made: list[str] = []


def claim(name: str) -> None:
    """The file says whose turn it is."""
    if not os.path.exists(PATH):
        with open(PATH, "w", encoding="ascii") as file:
            file.write(name)
        made.append(name)


workers = [threading.Thread(target=claim, args=(name,)) for name in ("a", "b")]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
assert len(made) == 1, f"{made} all think that it is theirs"
