#!/usr/bin/env python3
"""A driver (docs/drivers.md) for Python: litmus tests with the calls of os, each process a thread.

    drivers/python/driver.py [--buffered]

A call of os returns when its system call has: ack=complete. With --buffered the handles are those of
open(path, "r+b"), io.BufferedRandom: what is written stays in the handle's buffer until something writes
it out (CPython, Modules/_io/bufferedio.c). That is a flush, a seek, a read, a truncate, a close, or a write
that finds no room in the buffer. An os.fsync or os.fstat of its descriptor knows nothing of the buffer.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import errno
import io
import mmap
import os
import platform
import queue
import sys
import threading
import time
import typing

BUFFER = 8192  # io.DEFAULT_BUFFER_SIZE, said aloud: open() takes st_blksize where that is larger
FLAGS = {"append": os.O_APPEND, "direct": os.O_DIRECT, "dsync": os.O_DSYNC}
ROUND_VERBS = ["open", "clone", "close", "rename", "unlink", "notify", "wait"]
MOST_PROCESSES = 64

now = time.monotonic_ns  # CLOCK_MONOTONIC


class Cannot(Exception):
    """The test asks for what this runtime does not have."""


# --- handles: their methods have the names of the verbs


class Descriptor:
    """A handle as os has it."""

    claims = "ack=complete cursor=positional"
    flags = ["append", "direct", "dsync"]
    verbs = ["append", "write", "read", "seek", "statx", "flush", "fsync", "fdatasync", "truncate"]
    verbs += ["allocate", "drop_cache"]

    def __init__(self, fd: int, flags: int) -> None:
        self.fd = fd
        self.direct = bool(flags & os.O_DIRECT)

    def clone(self) -> Descriptor:
        return type(self)(os.dup(self.fd), os.O_DIRECT if self.direct else 0)

    def close(self) -> None:
        os.close(self.fd)

    def append(self, data: bytes) -> int:
        return self.write(None, data)

    def write(self, offset: int | None, data: bytes) -> int:
        memory = aligned(data) if self.direct else memoryview(data)
        done = 0
        while done < len(data):
            rest = memory[done:]
            done += os.write(self.fd, rest) if offset is None else os.pwrite(self.fd, rest, offset + done)
        return done

    def read(self, offset: int | None, size: int) -> bytes:
        if offset is None:
            return os.read(self.fd, size)
        if not self.direct:
            return os.pread(self.fd, size, offset)
        memory = aligned(bytes(size))
        return bytes(memory[: os.preadv(self.fd, [memory], offset)])

    def seek(self, offset: int) -> None:
        os.lseek(self.fd, offset, os.SEEK_SET)

    def statx(self) -> int:
        return os.fstat(self.fd).st_size

    def flush(self) -> None:
        """There is nothing to flush."""

    def fsync(self) -> None:
        os.fsync(self.fd)

    def fdatasync(self) -> None:
        os.fdatasync(self.fd)

    def truncate(self, size: int) -> None:
        os.ftruncate(self.fd, size)

    def allocate(self, offset: int, size: int) -> None:
        os.posix_fallocate(self.fd, offset, size)

    def drop_cache(self) -> None:
        os.posix_fadvise(self.fd, 0, 0, os.POSIX_FADV_DONTNEED)


def aligned(data: bytes) -> memoryview:
    """A copy that begins with a page, as O_DIRECT wants it."""
    memory = mmap.mmap(-1, max(len(data), 1))
    memory[: len(data)] = data
    return memoryview(memory)[: len(data)]


class Buffered(Descriptor):
    """A handle as open(path, "r+b") gives it. What is at an offset is at the cursor, after a seek."""

    claims = (
        f"ack=buffered chunk={BUFFER} full=kept waits=read,seek,flush,truncate cursor=shared drop=flushes"
    )
    flags = ["append", "dsync"]

    def __init__(self, fd: int, flags: int) -> None:
        super().__init__(fd, flags)
        self.file = io.BufferedRandom(io.FileIO(fd, "r+"), BUFFER)
        self.lock = threading.Lock()  # between a seek and what follows, as a program would have it

    def close(self) -> None:
        with self.lock:
            self.file.close()

    def write(self, offset: int | None, data: bytes) -> int:
        with self.lock:
            if offset is not None:
                self.file.seek(offset)
            return self.file.write(data)

    def read(self, offset: int | None, size: int) -> bytes:
        with self.lock:
            self.file.flush()  # read() would; read1() would not
            if offset is not None:
                self.file.seek(offset)
            # read() goes on until it has all or is at the end, and reads ahead, so that what it returns may
            # be of several moments, and old. This is one system call.
            return self.file.read1(size)

    def seek(self, offset: int) -> None:
        with self.lock:
            self.file.seek(offset)

    def flush(self) -> None:
        with self.lock:
            self.file.flush()

    def truncate(self, size: int) -> None:
        with self.lock:
            self.file.truncate(size)


# --- the test


@dataclasses.dataclass
class Operation:
    verb: str
    operands: list[int | None]  # None: an offset that is the cursor


class Test:
    def __init__(self, kind: type[Descriptor], lines: list[list[str]]) -> None:
        self.kind = kind
        self.files: list[str] = []
        self.handles: list[tuple[str, int, int]] = []  # how, of which, flags of open
        self.edges = 0
        self.processes: list[list[Operation]] = []
        for what, *rest in lines:
            if what == "file":
                self.files += rest
            elif what == "handle":
                self.add_handle(*rest)
            elif what == "edge":
                self.edges += 1
            elif what == "process":
                self.processes.append([])
            elif what == "op":
                self.add_operation(*rest)
            else:
                raise Cannot(f"python does not know the line {what}")

    def add_handle(self, how: str, *rest: str) -> None:
        of, flags = (0, rest) if how == "later" else (int(rest[0]), rest[1:])
        for flag in flags:
            if flag not in self.kind.flags:
                raise Cannot(f"python has no flag {flag}")
        self.handles.append((how, of, sum(FLAGS[flag] for flag in flags)))

    def add_operation(self, verb: str, *rest: str) -> None:
        if verb not in self.kind.verbs + ROUND_VERBS:
            raise Cannot(f"python has no {verb}")
        operands = [None if word == "-" else int(word) for word in rest]
        self.processes[-1].append(Operation(verb, operands))


# --- a round


class Edge:
    """At most one permit."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.permit = False

    def notify(self) -> None:
        with self.changed:
            self.permit = True
            self.changed.notify()

    def wait(self) -> None:
        with self.changed:
            self.changed.wait_for(lambda: self.permit)
            self.permit = False


@dataclasses.dataclass
class Slot:
    """A handle of the test, under as many names as `same` gives it."""

    flags: int
    handle: Descriptor | None = None

    def opened(self) -> Descriptor:
        """What is closed is known to be, and is not called."""
        if self.handle is None:
            raise OSError(errno.EBADF, "")
        return self.handle


class Result(typing.NamedTuple):
    value: str
    begun: int
    ended: int


class Round:
    """Its methods have the names of the verbs that are of no handle's methods."""

    def __init__(self, test: Test, data: dict[int, bytes], prefix: str) -> None:
        self.test = test
        self.data = data
        self.prefix = prefix
        self.edges = [Edge() for _ in range(test.edges)]
        self.slots: list[Slot] = []
        for how, of, flags in test.handles:
            self.slots.append(self.slots[of] if how == "same" else Slot(flags))
            if how == "open":
                self.open(len(self.slots) - 1, of)
            elif how == "clone":
                self.clone(len(self.slots) - 1, of)

    def path(self, file: int) -> str:
        return self.prefix + self.test.files[file]

    def open(self, handle: int, file: int) -> None:
        slot = self.slots[handle]
        slot.handle = self.test.kind(os.open(self.path(file), os.O_RDWR | slot.flags), slot.flags)

    def clone(self, handle: int, of: int) -> None:
        self.slots[handle].handle = self.slots[of].opened().clone()

    def close(self, handle: int) -> None:
        opened, self.slots[handle].handle = self.slots[handle].opened(), None
        opened.close()

    def rename(self, old: int, new: int) -> None:
        os.rename(self.path(old), self.path(new))

    def unlink(self, file: int) -> None:
        os.unlink(self.path(file))

    def notify(self, edge: int) -> None:
        self.edges[edge].notify()

    def wait(self, edge: int) -> None:
        self.edges[edge].wait()

    def call(self, verb: str, operands: list[typing.Any]) -> int | bytes | None:
        if verb in ROUND_VERBS:
            return getattr(self, verb)(*operands)
        handle, *rest = operands
        if verb in ("append", "write"):
            rest[-1] = self.data[rest[-1]]
        return getattr(self.slots[handle].opened(), verb)(*rest)

    def process(self, operations: list[Operation]) -> list[Result]:
        results = []
        for operation in operations:
            begun = now()
            try:
                value = told(self.call(operation.verb, operation.operands))
            except OSError as error:
                value = str(-error.errno) if error.errno else "~"
            except ValueError:
                value = f"~{errno.EBADF}"  # io, of a file that another thread has closed
            results.append(Result(value, begun, now()))
        return results

    def run(self, number: int, threads: concurrent.futures.Executor) -> tuple[str, str]:
        """The values, and the rest of the line of the round."""
        count = len(self.test.processes)
        # Which one is started first goes round: the order of the text means nothing.
        order = [(number + i) % count for i in range(count)]
        began = now()
        running = {which: threads.submit(self.process, self.test.processes[which]) for which in order}
        results = [result for which in range(count) for result in running[which].result()]
        ended = now()
        self.give_up()
        times = " ".join(f"{result.begun - began}:{result.ended - began}" for result in results)
        return " ".join(result.value for result in results), f"{began} {ended} {times}"

    def give_up(self) -> None:
        for number, slot in enumerate(self.slots):
            if slot.handle is not None:
                try:
                    self.close(number)
                except OSError:
                    pass  # nobody asks any more


def told(value: int | bytes | None) -> str:
    if isinstance(value, bytes):
        return "x" + value.hex()
    return str(value or 0)


# --- the protocol


def say(line: str) -> None:
    sys.stdout.buffer.write(f"{line}\n".encode("ascii"))


def end(status: int) -> None:
    """Now: threads that wait for ever are not waited for, as sys.exit would."""
    os._exit(status)  # pylint: disable=protected-access


def keep_saying() -> None:
    """The protocol allows 250 ms."""
    while True:
        time.sleep(0.1)
        sys.stdout.buffer.flush()


def read_lines(lines: queue.SimpleQueue[list[str]]) -> None:
    """Reads beside the rounds, of which one may never end: the end of the input ends a batch too."""
    words = [""]
    for line in sys.stdin.buffer:
        words = line.decode("ascii").split()
        lines.put(words)
    if words[0] == "run":
        end(0)
    lines.put([])


class Driver:
    """What a batch needs of what was told before it."""

    def __init__(self, kind: type[Descriptor]) -> None:
        self.kind = kind
        self.lines: queue.SimpleQueue[list[str]] = queue.SimpleQueue()
        self.test: Test | None = None
        self.data: dict[int, bytes] = {}
        self.threads = concurrent.futures.ThreadPoolExecutor(MOST_PROCESSES)

    def hello(self) -> None:
        verbs, flags = ",".join(self.kind.verbs + ROUND_VERBS), ",".join(self.kind.flags)
        say(f"hello 1 python {platform.python_version()} verbs={verbs} flags={flags} {self.kind.claims}")

    def read_test(self) -> None:
        lines = list(iter(self.lines.get, ["end"]))
        try:
            self.test = Test(self.kind, lines)
            say("ready")
        except Cannot as reason:
            say(f"cannot {reason}")

    def run(self, count: int, directory: str) -> None:
        assert self.test is not None
        states: dict[str, int] = {}
        for k in range(count):
            values, times = Round(self.test, self.data, f"{directory}/{k}.").run(k, self.threads)
            if values not in states:
                states[values] = len(states)
                say(f"state {states[values]} {values}")
            say(f"round {k} {states[values]} {times}")
        say("done")

    def serve(self) -> None:
        threading.Thread(target=read_lines, args=[self.lines], daemon=True).start()
        threading.Thread(target=keep_saying, daemon=True).start()
        for what, *rest in iter(self.lines.get, []):
            if what == "hello":
                self.hello()
            elif what == "test":
                self.read_test()
            elif what == "data":
                self.data[int(rest[0])] = bytes.fromhex("".join(rest[1:]))
            elif what == "run":
                self.run(int(rest[0]), rest[1])
            else:
                raise ValueError(f"it was told {what}")
            sys.stdout.buffer.flush()


def main(arguments: list[str]) -> None:
    if arguments not in ([], ["--buffered"]):
        sys.exit(__doc__)
    try:
        Driver(Buffered if arguments else Descriptor).serve()
    except (OSError, ValueError) as error:
        say(f"error {error}")
        sys.stdout.buffer.flush()
        end(1)
    end(0)


if __name__ == "__main__":
    main(sys.argv[1:])
