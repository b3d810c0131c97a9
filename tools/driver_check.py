"""The conformance suite of drivers. The names of its checks are sentences of docs/drivers.md."""

from __future__ import annotations

import contextlib
import os
import pathlib
import random
import shutil
import subprocess
import tempfile
import time
import typing

from driver_parent import FLAGS, VERBS, Driver, Failed, Program, Session, Skipped

LATE = 1.0  # seconds; the protocol has 0.25, and machines are busy
MISSING = r"-2|~2|~"  # ENOENT, as far as the runtime tells
CLOSED = "-9"

draw = random.randbytes
OLD = draw(300)
A, B = draw(100), draw(57)
Values = typing.Sequence[typing.Union[str, bytes]]


def of_one_process(operations: list[str], parts: dict[str, typing.Any]) -> Program:
    defaults: dict[str, typing.Any] = {"files": [OLD]}
    return Program([operations], **{**defaults, **parts})


class Checks:
    """What one driver is asked, check by check."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.claims = session.claims

    def one(
        self,
        operations: list[str],
        values: typing.Sequence[str | bytes],
        after: typing.Sequence[bytes | None] | None = None,
        **parts: typing.Any,
    ) -> None:
        """A test of one process, through a handle of a file with 300 bytes if nothing else is said."""
        self.session.check(of_one_process(operations, parts), [values], after)

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
        reason = self.session.cannot(of_one_process(operations, parts))
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
        values: Values = ["0"] + [CLOSED] * (len(operations) - 1)
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
        values: Values = ["100", "57", "0", b"third"]
        after: list[bytes | None] = [B + OLD[57:], A, b"third"]
        self.one(operations, values, after, handles=handles, files=[OLD, b"", b"third"], data=[A, B])

    def test_what_was_acknowledged_is_there_when_all_is_closed(self) -> None:
        if self.claims.drop == "lost":
            raise Skipped("it claims drop=lost")
        self.one(["write 0 0 0"], ["100"], [A], files=[b""], data=[A])
        self.one(["write 0 0 0", "close 0"], ["100", "0"], [A], files=[b""], data=[A])

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
        self.one(["write 0 0 0"], [str(1 << 20)], [data], files=[b""], data=[data])

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
        values = [["0", "300", "0"]] * 7 + [["0", "0"]]
        self.session.check(Program(processes, files=[OLD], edges=8), values)

    def test_a_write_is_read_by_another_process(self) -> None:
        if self.claims.ack != "complete" and "flush" not in self.claims.waits:
            raise Skipped("it does not claim waits=flush: what is written may not be there")
        settle = [] if self.claims.ack == "complete" else ["flush 0"]
        processes = [["write 0 0 0", *settle, "notify 0"], ["wait 0", "read 1 0 100"]]
        values: list[Values] = [["100", *["0"] * len(settle), "0"], ["0", A]]
        self.session.check(Program(processes, ["open 0", "open 0"], [b""], [A], 1), values, [A])

    def test_two_processes_may_share_a_handle(self) -> None:
        processes = [["read 0 0 50"] * 8, ["read 1 100 50"] * 8]
        values = [[OLD[:50]] * 8, [OLD[100:150]] * 8]
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
            values: Values = [str(number * 10)] * number
            handles, files = [f"open {at}" for at in range(number)], [b""] * number
            self.one(operations, values, list(data), handles=handles, files=files, data=data)

    def test_a_batch_may_have_many_rounds(self) -> None:
        program = Program([["write 0 0 0"], ["statx 0"]], data=[A])
        self.session.tell(program)
        for _ in range(3):
            for one in self.session.batch(program, 1000):
                self.session.compare_file("the file f0", one.files[0], A)

    def test_what_is_to_be_said_is_said_soon(self) -> None:
        # Rounds of some milliseconds, for two seconds: longer than anything may be kept.
        program = Program([["write 0 0 0"] * 60], data=[draw(1 << 18)])
        self.session.tell(program)
        began = time.monotonic()
        self.session.batch(program, 5)
        each = (time.monotonic() - began) / 5
        for one in self.session.batch(program, min(500, 1 + int(2 / each))):
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
        self.session.in_batch = True  # and so it stays
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


class Suite:
    """Goes through the checks. They share a driver for as long as it lasts."""

    def __init__(self, command: str, folder: pathlib.Path, patience: float) -> None:
        self.command = command
        self.folder = folder
        self.patience = patience
        self.session: Session | None = None
        self.sessions = 0

    def begin(self) -> Session:
        """Starts one and greets it, if there is none."""
        if self.session is None:
            driver = Driver(self.command, self.patience)
            try:
                claims = driver.greet()
            except BaseException:
                driver.kill()
                raise
            here = self.folder / str(self.sessions)
            here.mkdir()
            self.sessions += 1
            self.session = Session(driver, claims, here)
        return self.session

    def end(self) -> None:
        if self.session is not None:
            self.session.driver.kill()
            shutil.rmtree(self.session.folder)
            self.session = None

    def result_of(self, name: str) -> tuple[str, str]:
        """ok or not ok, and why."""
        result = "ok", ""
        try:
            session = self.begin()
            getattr(Checks(session), name)()
            if session.in_batch:
                self.end()
        except Skipped as skipped:
            result = "ok", f" # SKIP {skipped}"
        except Failed as failed:
            result = "not ok", f"\n# {failed}"
            self.end()
        return result


def run(
    command: str, folder: str | None, patience: float, stop: bool, say: typing.Callable[[str], None]
) -> int:
    """Says TAP, up to the first failure if it is to stop there. Is 0 where all have passed, and else 1."""
    names = [name for name in vars(Checks) if name.startswith("test_")]
    failures = 0
    with tempfile.TemporaryDirectory(dir=folder, prefix="driver-check-") as temporary:
        suite = Suite(command, pathlib.Path(temporary).resolve(), patience)
        with contextlib.ExitStack() as stack:
            stack.callback(suite.end)
            try:
                claims = suite.begin().claims
            except Failed as failed:
                say(f"1..{len(names) + 1}\nnot ok 1 - it greets\n# {failed}\nBail out! it does not greet")
                return 1
            say(f"1..{len(names) + 1}\nok 1 - it greets\n# {claims.runtime}: {claims.shown()}")
            for number, name in enumerate(names, 2):
                result, reason = suite.result_of(name)
                failures += result != "ok"
                say(f"{result} {number} - {name[5:].replace('_', ' ')}{reason}")
                if failures and stop:
                    say("Bail out! it was to stop at the first")
                    break
    return 1 if failures else 0
