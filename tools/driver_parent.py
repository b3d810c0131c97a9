"""The other side of a driver: speaks docs/drivers.md, and finds in what is said what may not be said.

It knows nothing of the program's own, so that the document is what both are held against.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import queue
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import typing

# Of each verb: is its first operand a handle?
VERBS = {
    **dict.fromkeys(["append", "write", "read", "seek", "statx", "flush", "fsync", "fdatasync"], True),
    **dict.fromkeys(["truncate", "allocate", "punch", "sync_range", "drop_cache", "clone", "close"], True),
    **dict.fromkeys(["open", "rename", "unlink", "notify", "wait"], False),
}
FLAGS = {"append": os.O_APPEND, "direct": os.O_DIRECT, "dsync": os.O_DSYNC}
MEANINGS = {  # of the claims that are one word of several
    "ack": ["complete", "queued", "buffered"],
    "cursor": ["positional", "shared"],
    "read": ["whole", "short"],
    "drop": ["runs", "flushes", "lost"],
    "full": ["written", "kept"],
}
DEFAULTS = {
    "waits": "",
    "chunk": "2097152",
    "cursor": "positional",
    "read": "whole",
    "drop": "runs",
    "full": "written",
}

now = time.monotonic_ns


class Failed(Exception):
    """The driver does what the protocol does not allow."""


class Skipped(Exception):
    """The driver does not claim what is asked here, or this system does not have it."""


class CannotStart(Exception):
    """The shell has not found its command."""


@dataclasses.dataclass
class Claims:
    runtime: str
    verbs: list[str]
    flags: list[str]
    waits: list[str]
    ack: str
    cursor: str
    read: str
    drop: str

    def shown(self) -> str:
        waits = f" waits={','.join(self.waits)}" if self.waits else ""
        return f"ack={self.ack}{waits} cursor={self.cursor} read={self.read} drop={self.drop}"


def claims_of(greeting: str) -> Claims:
    words = greeting.split(" ")
    if len(words) < 4 or words[:2] != ["hello", "1"]:
        raise Failed(
            f'it was greeted with "hello 1" and should say "hello 1 NAME VERSION CLAIM…", not "{greeting}"'
        )
    claims = dict(DEFAULTS)
    for word in words[4:]:
        name, _, value = word.partition("=")
        values = [one for one in value.split(",") if one]
        known = {"verbs": list(VERBS), "waits": list(VERBS), "flags": list(FLAGS), **MEANINGS}.get(name, [])
        if name == "chunk":
            meant = value.isdecimal() and int(value) > 0
        elif name in MEANINGS:
            meant = value in known
        else:
            meant = bool(known) and set(values) <= set(known)
        if not meant:
            raise Failed(f"its claim {word} has no meaning")
        claims[name] = value
    for name in ("ack", "verbs", "flags"):
        if name not in claims:
            raise Failed(f"it does not claim {name}=")

    def words_of(name: str) -> list[str]:
        return [word for word in claims[name].split(",") if word]

    return Claims(
        runtime=" ".join(words[2:4]),
        verbs=words_of("verbs"),
        flags=words_of("flags"),
        waits=words_of("waits"),
        ack=claims["ack"],
        cursor=claims["cursor"],
        read=claims["read"],
        drop=claims["drop"],
    )  # chunk= tells the model how many steps a write has, and nothing that can be seen here


# --- a driver that runs


class Driver:
    """What it says is read, with its time, and what it is told is written beside the checks."""

    def __init__(self, command: str, patience: float) -> None:
        self.patience = patience
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            start_new_session=True,
        )
        self.said: queue.SimpleQueue[tuple[int, str | None]] = queue.SimpleQueue()
        self.to_say: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.heard_at = 0
        for what in (self.read, self.write):
            threading.Thread(target=what, daemon=True).start()

    def read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.put((now(), line.decode("ascii", "replace").rstrip("\n")))
        self.said.put((now(), None))

    def write(self) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError), self.process.stdin as stream:
            for text in iter(self.to_say.get, None):
                stream.write(text)
                stream.flush()

    def say(self, *lines: str) -> None:
        self.to_say.put("".join(f"{line}\n" for line in lines).encode("ascii"))

    def end_of_input(self) -> None:
        self.to_say.put(None)

    def hear(self, expected: str) -> str:
        try:
            self.heard_at, line = self.said.get(timeout=self.patience)
        except queue.Empty:
            raise Failed(f"expected {expected}, and nothing was said for {self.patience:g} s") from None
        if line is None:
            raise Failed(f"expected {expected}, and {self.end()}")
        if line.startswith("error "):
            raise Failed(f'expected {expected}, and it says "{short(line)}"')
        return line

    def end(self) -> str:
        """How it ended, and its last words."""
        try:
            status = self.process.wait(self.patience)
        except subprocess.TimeoutExpired:
            return "it has closed its output"
        self.errors.seek(0)
        words = self.errors.read().decode("utf-8", "replace").strip().splitlines()
        return f"it ended with exit status {status}" + (f": {words[-1]}" if words else "")

    def greet(self) -> Claims:
        self.say("hello 1")
        try:
            return claims_of(self.hear("a greeting"))
        except Failed as failed:
            if self.process.poll() in (126, 127):  # the shell's: not found, not executable
                raise CannotStart(self.end()) from failed
            raise

    def pids(self) -> list[int]:
        """It and its descendants."""
        found, new = [], [self.process.pid]
        while new:
            pid = new.pop()
            found.append(pid)
            for children in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
                with contextlib.suppress(OSError):
                    new += map(int, children.read_text("ascii").split())
        return found

    def descriptors(self, folder: pathlib.Path) -> list[tuple[pathlib.Path, str]]:
        """Those of the files in a folder."""
        found = []
        for pid in self.pids():
            with contextlib.suppress(OSError):
                for link in pathlib.Path(f"/proc/{pid}/fd").iterdir():
                    with contextlib.suppress(OSError):
                        if os.readlink(link).startswith(f"{folder}/"):
                            found.append((link, os.readlink(link)))
        return found

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.end_of_input()
        self.errors.close()

    def leaves_something(self) -> bool:
        """Is a process of its group there? Only after it has ended, and been waited for."""
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return False
        return True


def short(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:120]}… ({len(text)} characters)"


# --- what it is told, and what it says


@dataclasses.dataclass
class Program:
    """A test. Its files are f0, f1, …"""

    processes: list[list[str]]
    handles: list[str] = dataclasses.field(default_factory=lambda: ["open 0"])
    files: list[bytes | None] = dataclasses.field(default_factory=lambda: [b""])
    data: list[bytes] = dataclasses.field(default_factory=list)
    edges: int = 0

    def lines(self) -> list[str]:
        lines = ["test check"]
        lines += [f"file f{number}" for number in range(len(self.files))]
        lines += [f"handle {handle}" for handle in self.handles]
        lines += ["edge"] * self.edges
        for operations in self.processes:
            lines += ["process", *(f"op {operation}" for operation in operations)]
        return lines + ["end"]


@dataclasses.dataclass
class Round:
    values: list[list[str]]  # by process, as the times
    times: list[list[tuple[int, int]]]
    late: float  # seconds between its end and its line
    files: list[bytes | None] = dataclasses.field(default_factory=list)


def by_process(program: Program, flat: list[typing.Any]) -> list[list[typing.Any]]:
    rest = iter(flat)
    return [[next(rest) for _ in operations] for operations in program.processes]


class Batch:
    """Reads what is said of one, and finds what may not be said."""

    def __init__(self, program: Program, count: int) -> None:
        self.program = program
        self.count = count
        self.operations = sum(map(len, program.processes))
        self.states: dict[int, list[str]] = {}
        self.rounds: dict[int, Round] = {}

    def hear(self, driver: Driver) -> None:
        began = now()
        while (line := driver.hear("a state, a round or done")) != "done":
            try:
                what, *words = line.split(" ")
                if what == "state":
                    self.add_state(int(words[0]), words[1:])
                elif what == "round":
                    self.add_round([int(word) for word in words[:4]], words[4:], began, driver.heard_at)
                else:
                    raise ValueError("a line of a batch is a state, a round or done")
            except (ValueError, IndexError) as error:
                raise Failed(f'it says "{short(line)}": {error}') from error
        missing = sorted(set(range(self.count)) - set(self.rounds))
        if missing:
            raise Failed(f"it is done without round {missing[0]}: {len(missing)} of {self.count} are missing")

    def add_state(self, number: int, values: list[str]) -> None:
        if len(values) != self.operations:
            raise ValueError(f"{len(values)} values of {self.operations} operations")
        if number in self.states or values in self.states.values():
            raise ValueError("it has told this state before")
        operations = [operation for process in self.program.processes for operation in process]
        for operation, value in zip(operations, values, strict=True):
            success = r"x([0-9a-f]{2})*" if operation.startswith("read ") else r"\d+"
            if not re.fullmatch(rf"{success}|-\d+|~\d*", value):
                raise ValueError(f"{short(value)} is no value of {operation}")
        self.states[number] = values

    def add_round(self, numbers: list[int], times: list[str], began: int, heard_at: int) -> None:
        k, state, start, end = numbers
        if k in self.rounds or not 0 <= k < self.count:
            raise ValueError("it is no round that is to come")
        if state not in self.states:
            raise ValueError("its state has not been told")
        if not began <= start <= end <= heard_at:
            raise ValueError(f"it ran between {began} and {heard_at} of CLOCK_MONOTONIC")
        if len(times) != self.operations:
            raise ValueError(f"{len(times)} times of {self.operations} operations")
        pairs = []
        for both in times:
            begun, ended = map(int, both.split(":"))
            if not 0 <= begun <= ended <= end - start:
                raise ValueError(f"{both} is not within the round, which took {end - start}")
            pairs.append((begun, ended))
        one = Round(
            by_process(self.program, self.states[state]),
            by_process(self.program, pairs),
            (heard_at - end) / 1e9,
        )
        self.look_at_order(one)
        self.rounds[k] = one

    def look_at_order(self, one: Round) -> None:
        notified: dict[str, int] = {}
        for operations, times in zip(self.program.processes, one.times, strict=True):
            for earlier, later in zip(times, times[1:]):
                if later[0] < earlier[1]:
                    raise ValueError(
                        f"an operation began at {later[0]}, the one before ended at {earlier[1]}"
                    )
            for operation, (begun, _) in zip(operations, times, strict=True):
                verb, edge, *_ = operation.split(" ")
                if verb == "notify":
                    notified[edge] = min(begun, notified.get(edge, begun))
        for operations, times in zip(self.program.processes, one.times, strict=True):
            for operation, (_, ended) in zip(operations, times, strict=True):
                verb, edge, *_ = operation.split(" ")
                if verb == "wait" and ended < notified[edge]:
                    raise ValueError(f"{operation} ended at {ended}, its notify began at {notified[edge]}")


class Session:
    """A driver that was greeted, and a folder for its batches."""

    def __init__(self, driver: Driver, claims: Claims, folder: pathlib.Path) -> None:
        self.driver = driver
        self.claims = claims
        self.folder = folder
        self.batches = 0
        self.in_batch = False  # then nobody else can have it

    def cannot(self, program: Program) -> str:
        """Tells it a test. Why it cannot run it, or nothing."""
        self.driver.say(*program.lines())
        line = self.driver.hear('"ready", or "cannot REASON"')
        if line != "ready" and not line.startswith("cannot "):
            raise Failed(
                f'it was told a test and should say "ready", or "cannot REASON", not "{short(line)}"'
            )
        return line.removeprefix("cannot ") if line != "ready" else ""

    def tell(self, program: Program) -> None:
        for verb in {operation.split(" ")[0] for operations in program.processes for operation in operations}:
            if verb not in self.claims.verbs:
                raise Skipped(f"it does not claim {verb}")
        for flag in {word for handle in program.handles for word in handle.split(" ") if word in FLAGS}:
            if flag not in self.claims.flags:
                raise Skipped(f"it does not claim the flag {flag}")
        reason = self.cannot(program)
        if reason:
            raise Failed(f"it claims all that this test needs, and says that it cannot: {reason}")

    def begin_batch(self, program: Program, count: int) -> pathlib.Path:
        folder = self.folder / str(self.batches)
        self.batches += 1
        self.in_batch = True
        folder.mkdir()
        for k in range(count):
            for number, content in enumerate(program.files):
                if content is not None:
                    (folder / f"{k}.f{number}").write_bytes(content)
        self.driver.say(*(f"data {number} {piece.hex()}" for number, piece in enumerate(program.data)))
        self.driver.say(f"run {count} {folder}")
        return folder

    def batch(self, program: Program, count: int = 20) -> list[Round]:
        folder = self.begin_batch(program, count)
        batch = Batch(program, count)
        batch.hear(self.driver)
        self.in_batch = False
        self.await_closed(folder)
        names = set()
        for k, one in batch.rounds.items():
            for number in range(len(program.files)):
                path = folder / f"{k}.f{number}"
                names.add(path)
                one.files.append(path.read_bytes() if path.exists() else None)
        for path in folder.iterdir():
            if path not in names:
                raise Failed(f"it leaves {path.name} behind")
        shutil.rmtree(folder)
        return [batch.rounds[k] for k in range(count)]

    def await_closed(self, folder: pathlib.Path) -> None:
        """What a runtime writes after a handle was dropped belongs to the round."""
        give_up = time.monotonic() + self.driver.patience
        while opened := self.driver.descriptors(folder):
            if time.monotonic() > give_up:
                raise Failed(f"it has {opened[0][1]} open {self.driver.patience:g} s after it was done")
            time.sleep(0.005)

    def check(
        self,
        program: Program,
        values: typing.Sequence[typing.Sequence[str | bytes]],
        files: typing.Sequence[bytes | None] | None = None,
    ) -> None:
        """In every round the values (a regular expression, or what a read returned), and the files."""
        self.tell(program)
        for k, one in enumerate(self.batch(program)):
            for process, operations in enumerate(program.processes):
                for at, operation in enumerate(operations):
                    self.compare(f"round {k}: {operation}", one.values[process][at], values[process][at])
            for number, content in enumerate(files or []):
                self.compare_file(f"round {k}: the file f{number}", one.files[number], content)

    def compare(self, what: str, value: str, expected: str | bytes) -> None:
        if isinstance(expected, str):
            right, shown = re.fullmatch(expected, value) is not None, expected
        else:
            shown = f"x{expected.hex()}"
            begin = len(value) > 1 and self.claims.read == "short" and shown.startswith(value)
            right = value == shown or begin
        if right:
            return
        if value in ("-95", "-38") or (value == "-22" and "direct" in what):
            raise Skipped(f"this filesystem or kernel does not have it: {what}")
        raise Failed(f"{what} should be {short(shown)}, and is {short(value)}")

    @staticmethod
    def compare_file(what: str, content: bytes | None, expected: bytes | None) -> None:
        def shown(bytes_: bytes | None) -> str:
            return "not there" if bytes_ is None else f"{len(bytes_)} bytes x{short(bytes_.hex())}"

        if content != expected:
            raise Failed(f"{what} should be {shown(expected)}, and is {shown(content)}")
