"""O_EXCL looks and makes in one step: of two that ask for a new file one gets it."""

import os
import threading

PATH = os.path.join(os.environ["TMPDIR"], "owner")
made: list[str] = []


def claim(name: str) -> None:
    """The file says whose turn it is."""
    try:
        with open(PATH, "x", encoding="ascii") as file:
            file.write(name)
    except FileExistsError:
        return
    made.append(name)


workers = [threading.Thread(target=claim, args=(name,)) for name in ("a", "b")]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
assert len(made) == 1, f"{made} all think that it is theirs"
