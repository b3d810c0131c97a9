"""The conformance suite of drivers: a parent that speaks docs/drivers.md and looks at all that is said.

It knows nothing of the program's own parent, so that the document is what both are held against.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import queue
import random
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
}
DEFAULTS = {"waits": "", "chunk": "2097152", "cursor": "positional", "read": "whole", "drop": "runs"}
LATE = 1.0  # seconds; the protocol has 0.25, and machines are busy
MISSING = r"-2|~2|~"  # ENOENT, as far as the runtime tells
CLOSED = "-9"

now = time.monotonic_ns
draw = random.randbytes


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
    del claims["chunk"]  # tells the model how many steps a write has, and nothing that can be seen here
    lists = {name: list(filter(None, claims.pop(name).split(","))) for name in ("verbs", "flags", "waits")}
    return Claims(" ".join(words[2:4]), **lists, **claims)


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
        self, program: Program, values: list[list[str | bytes]], files: list[bytes | None] | None = None
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


# --- the checks: their names are sentences

OLD = draw(300)
A, B = draw(100), draw(57)
Values = typing.List[typing.List[typing.Union[str, bytes]]]


class Checks:
    """Each has a driver of its own."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.claims = session.claims

    def one(
        self,
        operations: list[str],
        values: list[str | bytes],
        after: list[bytes | None] | None = None,
        **parts: typing.Any,
    ) -> None:
        """A test of one process, through a handle of a file with 300 bytes if nothing else is said."""
        program = Program([operations], **{"files": [OLD], **parts})
        self.session.check(program, [values], after)

    def test_an_append_is_at_the_end(self) -> None:
        self.one(
            ["append 0 0", "append 0 1"], ["100", "57"], [OLD + A + B], handles=["open 0 append"], data=[A, B]
        )

    def test_a_write_is_at_its_offset(self) -> None:
        content = OLD[:50] + A + OLD[150:]
        self.one(["write 0 50 0"], ["100"], [content], data=[A])

    def test_a_write_behind_the_end_leaves_zeros(self) -> None:
        self.one(["write 0 400 0"], ["100"], [OLD + bytes(100) + A], data=[A])

    def test_writes_at_the_cursor_follow_each_other(self) -> None:
        self.if_it_can(["write 0 - 0", "write 0 - 1"], ["100", "57"], [A + B + OLD[157:]], data=[A, B])

    def test_a_read_is_at_its_offset(self) -> None:
        self.one(["read 0 100 50", "read 0 10 40"], [OLD[100:150], OLD[10:50]])

    def test_a_read_ends_where_the_file_ends(self) -> None:
        self.one(["read 0 280 50", "read 0 300 50", "read 0 4096 1"], [OLD[280:], b"", b""])

    def test_reads_at_the_cursor_follow_each_other(self) -> None:
        if self.claims.read == "short":
            raise Skipped("its reads may be short, so that nobody knows where the second begins")
        self.if_it_can(["read 0 - 50", "read 0 - 70"], [OLD[:50], OLD[50:120]])

    def test_a_seek_sets_the_cursor(self) -> None:
        self.if_it_can(["seek 0 100", "read 0 - 50"], ["0", OLD[100:150]])

    def test_clones_share_the_cursor(self) -> None:
        handles = ["open 0", "clone 0"]
        self.if_it_can(["seek 0 100", "read 1 - 50"], ["0", OLD[100:150]], handles=handles)

    def if_it_can(self, operations: list[str], *rest: typing.Any, **parts: typing.Any) -> None:
        """As `one`; but it may say of this single test that it cannot."""
        reason = self.session.cannot(Program([operations], **{"files": [OLD], **parts}))
        if reason:
            raise Skipped(f"it says that it cannot: {reason}")
        self.one(operations, *rest, **parts)

    def test_a_statx_has_the_size(self) -> None:
        self.one(["statx 0"], ["300"])

    def test_flush_and_syncs_are_0(self) -> None:
        for verb in ("flush", "fsync", "fdatasync"):
            if verb in self.claims.verbs:
                self.one([f"{verb} 0"], ["0"], [OLD])

    def test_a_truncate_cuts_and_extends(self) -> None:
        self.one(["truncate 0 10"], ["0"], [OLD[:10]])
        self.one(["truncate 0 500"], ["0"], [OLD + bytes(200)])

    def test_an_allocate_extends(self) -> None:
        self.one(["allocate 0 0 4096"], ["0"], [OLD + bytes(3796)])

    def test_a_punch_leaves_zeros(self) -> None:
        old = draw(8192)
        self.one(["punch 0 0 4096"], ["0"], [bytes(4096) + old[4096:]], files=[old])

    def test_a_sync_range_is_0(self) -> None:
        self.one(["sync_range 0 0 4096"], ["0"], [OLD])

    def test_a_drop_cache_is_0(self) -> None:
        self.one(["drop_cache 0"], ["0"], [OLD])

    def test_a_later_handle_is_opened_by_a_process(self) -> None:
        self.one(["open 0 0", "read 0 0 50"], ["0", OLD[:50]], handles=["later"])

    def test_a_later_handle_has_its_flags(self) -> None:
        handles = ["later append"]
        self.one(["open 0 0", "append 0 0"], ["0", "100"], [OLD + A], handles=handles, data=[A])

    def test_an_open_of_no_file_fails_and_its_handle_is_closed(self) -> None:
        self.one(["open 0 0", "read 0 0 50"], [MISSING, CLOSED], [None], handles=["later"], files=[None])

    def test_a_clone_is_made_by_a_process(self) -> None:
        self.one(["clone 1 0", "read 1 0 50"], ["0", OLD[:50]], handles=["open 0", "later"])

    def test_a_clone_outlives_what_it_is_of(self) -> None:
        handles = ["open 0", "clone 0"]
        self.one(["close 0", "read 1 0 50", "read 0 0 50"], ["0", OLD[:50], CLOSED], handles=handles)

    def test_another_name_is_the_same_handle(self) -> None:
        self.one(["close 1", "read 0 0 50"], ["0", CLOSED], handles=["open 0", "same 0"])

    def test_nothing_is_done_through_a_closed_handle(self) -> None:
        if "close" not in self.claims.verbs:
            raise Skipped("it does not claim close")
        operands = {"write": " 0 0", "read": " 0 1", "seek": " 0", "truncate": " 5", "append": " 0"}
        operands |= dict.fromkeys(["allocate", "punch", "sync_range"], " 0 1")
        handles = ["open 0 append" if "append" in self.claims.flags else "open 0", "later"]
        operations = ["close 0"]
        for verb in self.claims.verbs:
            # Through a handle with O_APPEND no test writes at an offset; this one is closed.
            if VERBS[verb]:
                operations.append("clone 1 0" if verb == "clone" else f"{verb} 0{operands.get(verb, '')}")
        values: list[str | bytes] = ["0"] + [CLOSED] * (len(operations) - 1)
        self.one(operations, values, [OLD], handles=handles, data=[A])

    def test_a_rename_gives_the_file_another_name(self) -> None:
        files = [OLD, A, None]
        self.one(["rename 0 1"], ["0"], [None, OLD, None], files=files)
        self.one(["rename 2 1"], [MISSING], [OLD, A, None], files=files)

    def test_an_unlink_removes_the_name(self) -> None:
        self.one(["unlink 0", "unlink 0", "statx 0"], ["0", MISSING, "300"], [None])

    def test_handles_are_of_their_files(self) -> None:
        handles = ["open 1", "open 0", "later"]
        operations = ["write 0 0 0", "write 1 0 1", "open 2 2", "read 2 0 10"]
        values: list[str | bytes] = ["100", "57", "0", b"third"]
        after: list[bytes | None] = [B + OLD[57:], A, b"third"]
        self.one(operations, values, after, handles=handles, files=[OLD, b"", b"third"], data=[A, B])

    def test_what_was_acknowledged_is_there_when_all_is_closed(self) -> None:
        if self.claims.drop == "lost":
            raise Skipped("it claims drop=lost")
        for rest in ([], ["close 0"]):
            values: list[str | bytes] = ["100", "0"][: 1 + len(rest)]  # type: ignore[assignment]
            self.one(["write 0 0 0", *rest], values, [A], files=[b""], data=[A])

    def test_what_was_acknowledged_is_seen_as_claimed(self) -> None:
        if self.claims.ack == "queued":
            raise Skipped("it claims ack=queued: it may be there, and may not")
        seen = "100" if self.claims.ack == "complete" else "0"
        handles = ["open 0", "open 0"]
        self.one(["write 0 0 0", "statx 1"], ["100", seen], handles=handles, files=[b""], data=[A])

    def test_what_waits_has_written_when_it_returns(self) -> None:
        if self.claims.ack == "complete":
            raise Skipped("it claims ack=complete: nothing has to wait")
        # A close may return before, with drop=runs.
        self.write_then([verb for verb in self.claims.waits if verb != "close"], A)

    def test_what_does_not_wait_has_written_nothing(self) -> None:
        if self.claims.ack != "buffered":
            raise Skipped("it does not claim ack=buffered: what was queued may be there")
        names = [verb for verb in self.claims.verbs if VERBS[verb] and verb not in self.claims.waits]
        self.write_then([verb for verb in names if verb not in ("close", "truncate", "allocate")], b"")

    def write_then(self, verbs: list[str], seen: bytes) -> None:
        """Each of the verbs comes after a write; what another handle reads then."""
        operands = {"read": " 0 1", "seek": " 0", "truncate": " 500", "append": " 1", "write": " - 1"}
        operands |= dict.fromkeys(["allocate", "punch", "sync_range"], " 0 1")
        for verb in verbs:
            what = "clone 2 0" if verb == "clone" else f"{verb} 0{operands.get(verb, '')}"
            handles = ["open 0 append" if verb == "append" else "open 0", "open 0", "later"]
            first = "append 0 0" if verb == "append" else "write 0 0 0"
            program = [first, what, "read 1 0 100"]
            result: str | bytes = A[:1] if verb == "read" else r"\d+"
            self.one(program, ["100", result, seen], handles=handles, files=[b""], data=[A, B])

    def test_a_mebibyte_arrives_whole(self) -> None:
        data = draw(1 << 20)
        operations = ["write 0 0 0", "flush 0", "read 0 1048000 4096"]
        if "flush" not in self.claims.verbs:
            del operations[1]
        values: list[str | bytes] = [str(1 << 20), *["0"] * (len(operations) - 2), data[1048000:]]
        self.one(operations, values, [data], files=[b""], data=[data])

    def test_a_long_read_is_whole(self) -> None:
        old = draw(65536)
        self.if_it_can(["read 0 0 65536"], [old], files=[old])

    def test_the_bytes_are_those_of_the_batch(self) -> None:
        program = Program([["write 0 0 0"]], data=[A])
        self.session.tell(program)
        for size in (100, 57, 3000):
            program.data = [draw(size)]
            for one in self.session.batch(program):
                self.session.compare("write 0 0 0", one.values[0][0], str(size))
                self.session.compare_file("the file f0", one.files[0], program.data[0])

    def test_a_permit_is_kept(self) -> None:
        self.one(["notify 0", "wait 0"], ["0", "0"], edges=1)

    def test_a_second_notify_adds_nothing(self) -> None:
        # Had it added one, the last wait would end before the last notify begins.
        waits = ["notify 0", "notify 0", "wait 0", "notify 1", "wait 0"]
        notifies = ["wait 1", *["statx 0"] * 20, "notify 0"]
        program = Program([waits, notifies], files=[OLD], edges=2)
        self.session.tell(program)
        for one in self.session.batch(program, 100):
            if one.times[0][-1][1] < one.times[1][-1][0]:
                raise Failed("a wait ended before its notify began, as one before had given two permits")

    def test_processes_run_beside_each_other(self) -> None:
        self.session.check(
            Program([["wait 0", "notify 1"], ["notify 0", "wait 1"]], edges=2), [["0", "0"], ["0", "0"]]
        )

    def test_eight_processes_wait_for_each_other(self) -> None:
        processes = [[f"wait {i}", "statx 0", f"notify {i + 1}"] for i in range(7)] + [["notify 0", "wait 7"]]
        values: Values = [["0", "300", "0"]] * 7 + [["0", "0"]]
        self.session.check(Program(processes, files=[OLD], edges=8), values)

    def test_a_write_is_read_by_another_process(self) -> None:
        settle = ["flush 0"] if "flush" in self.claims.verbs else []
        processes = [["write 0 0 0", *settle, "notify 0"], ["wait 0", "read 1 0 100"]]
        values: Values = [["100", *["0"] * len(settle), "0"], ["0", A]]
        self.session.check(Program(processes, ["open 0", "open 0"], [b""], [A], 1), values, [A])

    def test_two_processes_may_share_a_handle(self) -> None:
        processes = [["read 0 0 50"] * 8, ["read 1 100 50"] * 8]
        values: Values = [[OLD[:50]] * 8, [OLD[100:150]] * 8]
        self.session.check(Program(processes, ["open 0", "same 0"], [OLD]), values)

    def test_who_cannot_says_so_and_goes_on(self) -> None:
        for program in (
            Program([["frobnicate 0 1"]]),
            Program([["statx 0"]], ["open 0 frobnicated"]),
            *(Program([[f"{verb} 0 0 1"]]) for verb in VERBS if verb not in self.claims.verbs),
        ):
            if not self.session.cannot(program):
                raise Failed(f"it is ready for a test with {program.processes[0][0]} on {program.handles[0]}")
        self.one(["statx 0"], ["300"])

    def test_a_test_follows_another(self) -> None:
        for number in range(1, 9):
            data = [draw(number * 10) for _ in range(number)]
            operations = [f"write {at} 0 {at}" for at in range(number)]
            values: list[str | bytes] = [str(number * 10)] * number
            handles, files = [f"open {at}" for at in range(number)], [b""] * number
            self.one(operations, values, list(data), handles=handles, files=files, data=data)

    def test_a_batch_may_have_many_rounds(self) -> None:
        program = Program([["write 0 0 0"], ["statx 0"]], data=[A])
        self.session.tell(program)
        for _ in range(3):
            for one in self.session.batch(program, 1000):
                self.session.compare_file("the file f0", one.files[0], A)

    def test_what_is_to_be_said_is_said_soon(self) -> None:
        turn = ["write 0 0 0", "flush 0", "truncate 0 0"]
        if "flush" not in self.claims.verbs:
            del turn[1]
        program = Program([turn * 4], data=[draw(1 << 22)])
        self.session.tell(program)
        began = time.monotonic()
        self.session.batch(program, 5)
        each = (time.monotonic() - began) / 5
        for one in self.session.batch(program, min(2000, 1 + int(2 / each))):
            if one.late > LATE:
                raise Failed(f"a round is told {one.late:.2f} s after it ended; the protocol has 0.25")

    def test_handles_are_open_before_the_round_with_their_flags(self) -> None:
        flags = [flag for flag in self.claims.flags if flag != "direct"]
        if "direct" in self.claims.flags and self.takes_direct():
            flags.append("direct")
        handles = ["open 0", *(f"open 0 {flag}" for flag in flags)]
        program = Program([["wait 0"]], handles, edges=1)
        self.session.tell(program)
        folder = self.session.begin_batch(program, 1)  # a round that does not end
        give_up = time.monotonic() + self.session.driver.patience
        expected = {0, *(FLAGS[flag] for flag in flags)}
        while (found := self.flags_in(folder)) != expected:
            if time.monotonic() > give_up:
                raise Failed(f"the flags of its descriptors should be {expected}, and are {found}")
            time.sleep(0.01)

    def flags_in(self, folder: pathlib.Path) -> set[int]:
        found = set()
        for link, _ in self.session.driver.descriptors(folder):
            with contextlib.suppress(OSError):
                info = (link.parent.parent / "fdinfo" / link.name).read_text("ascii")
                flags = int(info.split("flags:")[1].split()[0], 8)
                found.add(flags & sum(FLAGS.values()))
        return found

    def takes_direct(self) -> bool:
        path = self.session.folder / "direct"
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_DIRECT))
        except OSError:
            return False
        finally:
            path.unlink(missing_ok=True)
        return True

    def test_a_direct_handle_writes_and_reads(self) -> None:
        if not self.takes_direct():
            raise Skipped("this filesystem does not take O_DIRECT")
        data = draw(4096)
        operations = ["write 0 4096 0", "read 0 4096 4096"]
        handles = ["open 0 direct"]
        self.one(operations, ["4096", data], [bytes(4096) + data], handles=handles, files=[b""], data=[data])

    def test_the_end_of_input_ends_it(self) -> None:
        self.look_at_end()

    def test_the_end_of_input_ends_a_batch(self) -> None:
        program = Program([["wait 0"]], edges=1)  # of a round that does not end
        self.session.tell(program)
        folder = self.session.begin_batch(program, 5)
        while not self.session.driver.descriptors(folder):
            if self.session.driver.process.poll() is not None:
                raise Failed(self.session.driver.end())
            time.sleep(0.005)
        self.look_at_end()

    def look_at_end(self) -> None:
        driver = self.session.driver
        driver.end_of_input()
        try:
            status = driver.process.wait(driver.patience)
        except subprocess.TimeoutExpired:
            raise Failed(f"it runs {driver.patience:g} s after the end of its input") from None
        if status != 0:
            raise Failed(f"it should end with exit status 0: {driver.end()}")
        if driver.leaves_something():
            raise Failed("it has ended, and a process of its group has not")


def checks() -> list[str]:
    return [name for name in vars(Checks) if name.startswith("test_")]


def run(command: str, folder: str | None, patience: float, say: typing.Callable[[str], None]) -> int:
    """Says TAP. The exit status: 0 all passed, 1 one has not, 125 the driver cannot start."""
    names = checks()
    failures = 0
    with tempfile.TemporaryDirectory(dir=folder, prefix="driver-check-") as temporary:
        for number, name in enumerate(names):
            here = pathlib.Path(temporary).resolve() / str(number)
            here.mkdir()
            driver = Driver(command, patience)
            result, reason = "ok", ""
            greeted = False
            try:
                claims = driver.greet()
                greeted = True
                if number == 0:
                    say(f"# {claims.runtime}: ack={claims.ack} cursor={claims.cursor} read={claims.read}")
                    say(f"1..{len(names) + 1}")
                    say("ok 1 - it greets")
                getattr(Checks(Session(driver, claims, here)), name)()
            except Skipped as skipped:
                reason = f" # SKIP {skipped}"
            except Failed as failed:
                result, reason = "not ok", f"\n# {failed}"
                failures += 1
            finally:
                driver.kill()
                shutil.rmtree(here)
            if not greeted:
                say(f"not ok {number + 1} - it greets{reason}")
                return 1
            say(f"{result} {number + 2} - {name[5:].replace('_', ' ')}{reason}")
    return 1 if failures else 0
