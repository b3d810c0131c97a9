#!/usr/bin/env python3
"""A driver that is wrong in one way, for tests of who listens to it.

    drivers/broken_driver.py HOW

    silent     never greets                        version   greets with protocol 2
    claim      claims ack=maybe                    cannot    says so of every test
    dying      ends with status 3 in a batch       hanging   stops in a batch
    babbling   says what is no line of a batch     lying     tells bytes of reads that never were
    short      tells a value too few               odd       tells an odd number of hexadecimal digits
    twice      tells a round twice                 leaving   leaves a file in the folder of the batch
    keeping    never closes its descriptors        late      writes 200 ms after it has said done
    right      is not wrong

What `late` does is allowed, and it claims so: who does not wait for its descriptors sees bytes missing.
"""

from __future__ import annotations

import os
import pathlib
import sys
import threading
import time
import typing

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "python"))
import driver  # noqa: E402 pylint: disable=wrong-import-position,import-error

NUMBER = 3  # of the round in which it happens

say_rightly = driver.say
kept: list[typing.Callable[[], None]] = []  # what is to be done after a batch


class Keeping(driver.Descriptor):
    def close(self) -> None:
        """Does not."""


class Late(driver.Descriptor):
    claims = "ack=queued waits= drop=runs cursor=positional"
    verbs = ["append", "write", "flush", "fsync"]

    def write(self, offset: int | None, data: bytes) -> int:
        late = driver.Descriptor(os.dup(self.fd), 0)

        def write_and_close() -> None:
            late.write(offset, data)
            late.close()

        kept.append(write_and_close)
        return len(data)


def do_what_was_kept() -> None:
    todo = kept[:]
    kept.clear()

    def later() -> None:
        time.sleep(0.2)
        for what in todo:
            what()

    threading.Thread(target=later).start()


def die() -> None:
    sys.stdout.buffer.flush()
    print("these are its last words", file=sys.stderr, flush=True)
    driver.end(3)


def hang() -> None:
    while True:
        time.sleep(1)


class Broken(driver.Driver):
    """Says each line as the right one would, and then does one thing wrong."""

    def __init__(self, how: str) -> None:
        super().__init__({"keeping": Keeping, "late": Late}.get(how, driver.Descriptor))
        self.how = how

    def say(self, line: str) -> None:
        what, number, *rest = [*line.split(" "), ""]
        wrong = line
        if what == "hello":
            wrong = {
                "silent": "",
                "version": line.replace("hello 1", "hello 2"),
                "claim": line.replace("ack=complete", "ack=maybe"),
            }.get(self.how, line)
        elif what == "ready" and self.how == "cannot":
            wrong = "cannot it never can"
        elif what == "state":
            wrong = " ".join([what, number, *self.values(rest[:-1])])
        elif what == "round" and number == str(NUMBER):
            wrong = {"babbling": "lorem ipsum", "twice": f"{line}\n{line}"}.get(self.how, line)
            {"dying": die, "hanging": hang}.get(self.how, lambda: None)()
        if wrong:
            say_rightly(wrong)
        if what == "done":
            do_what_was_kept()

    def values(self, values: list[str]) -> list[str]:
        if self.how == "short":
            return values[:-1]
        if self.how == "lying":
            return ["x" + "ee" * (len(value) // 2) if value[0] == "x" else value for value in values]
        if self.how == "odd":
            return [value[:-1] if value[0] == "x" and len(value) > 1 else value for value in values]
        return values

    def run(self, count: int, directory: str) -> None:
        if self.how == "leaving":
            (pathlib.Path(directory) / "left").touch()
        super().run(count, directory)


def main(arguments: list[str]) -> None:
    assert __doc__ is not None
    if len(arguments) != 1 or f" {arguments[0]} " not in __doc__:
        sys.exit(__doc__)
    broken = Broken(arguments[0])
    driver.say = broken.say
    broken.serve()
    driver.end(0)


if __name__ == "__main__":
    main(sys.argv[1:])
