from __future__ import annotations

import pathlib
import tempfile
import unittest
import zlib

from kernel import arguments, boot, disk, guest
from kernel.common import CANNOT_RUN, ENVIRONMENT, FORBIDDEN, HANG, OK, USAGE, Failed


def stream(*records: tuple[str, bytes], end: bool = True) -> bytes:
    data = b"".join(b"%s %d\n%s\n" % (name.encode(), len(value), value) for name, value in records)
    if end:
        data += b"end 8\n%08x\n" % zlib.crc32(data)
    return data


class Result(unittest.TestCase):
    SENT = stream(("booted", b"6.1.0"), ("json", b'{"a":\n1}'), ("exited", b"0"))

    def test_records_come_through_however_they_are_cut(self) -> None:
        for size in (1, 2, 7, len(self.SENT)):
            result = guest.ResultStream()
            for at in range(0, len(self.SENT), size):
                result.feed(self.SENT[at : at + size])
            self.assertTrue(result.ended)
            self.assertEqual(result.records, {"booted": b"6.1.0", "json": b'{"a":\n1}', "exited": b"0"})

    def test_without_the_last_byte_it_has_not_ended(self) -> None:
        result = guest.ResultStream()
        result.feed(self.SENT[:-1])
        self.assertFalse(result.ended)

    def test_a_damaged_byte_is_not_believed(self) -> None:
        for at in range(len(self.SENT)):
            damaged = bytearray(self.SENT)
            damaged[at] ^= 1
            result = guest.ResultStream()
            result.feed(bytes(damaged))
            self.assertFalse(result.ended, at)


BOOTED = {"booted": b"6.1.0"}
STARTED = {**BOOTED, "started": b""}
LOG = f"[    1.0] Linux version 6.1\n[    2.0] {guest.STARTED}\n"
PANIC = "[    9.1][  T1] Kernel panic - not syncing: sysrq triggered crash\n"


class Judge(unittest.TestCase):
    def judge(
        self, records: dict[str, bytes], ended: bool = True, console: str = LOG, timed_out: str | None = None
    ) -> tuple[int, str, str]:
        return guest.judge(records, ended, console, timed_out)

    def test_the_programs_status_is_returned_when_the_end_marker_came(self) -> None:
        for status in (0, 1, 2, 3, 4, 125, 130):
            self.assertEqual(self.judge({**STARTED, "exited": b"%d" % status})[0], status)

    def test_126_and_127_are_never_returned(self) -> None:
        for status in (126, 127, 128, 255):
            self.assertEqual(self.judge({**STARTED, "exited": b"%d" % status})[0], ENVIRONMENT)

    def test_an_exit_without_the_end_marker_is_not_believed(self) -> None:
        self.assertEqual(self.judge({**STARTED, "exited": b"0"}, ended=False)[:2], (CANNOT_RUN, "died"))

    def test_a_panic_is_bad_only_while_the_program_ran(self) -> None:
        self.assertEqual(self.judge(STARTED, False, LOG + PANIC)[:2], (FORBIDDEN, "panic"))
        self.assertEqual(self.judge(BOOTED, False, PANIC)[:2], (CANNOT_RUN, "no-start"))
        self.assertEqual(self.judge({}, False, PANIC)[:2], (CANNOT_RUN, "no-boot"))

    def test_a_time_out_is_a_hang_only_while_the_program_ran(self) -> None:
        self.assertEqual(self.judge(STARTED, False, LOG, "run")[:2], (HANG, "hang"))
        self.assertEqual(self.judge({**STARTED, "timeout": b"9"})[:2], (HANG, "hang"))
        self.assertEqual(self.judge(BOOTED, False, LOG, "boot")[:2], (CANNOT_RUN, "no-start"))
        self.assertEqual(self.judge({}, False, "", "boot")[:2], (CANNOT_RUN, "no-boot"))

    def test_a_failed_mount_cannot_tell(self) -> None:
        self.assertEqual(
            self.judge({**BOOTED, "failed": b"mount -t xfs: EINVAL"}),
            (CANNOT_RUN, "no-start", "mount -t xfs: EINVAL"),
        )

    def test_an_oops_turns_a_pass_into_a_failure_and_leaves_other_results(self) -> None:
        oops = LOG + "[    3.0] BUG: kernel NULL pointer dereference, address: 0000000000000008\n"
        self.assertEqual(self.judge({**STARTED, "exited": b"0"}, console=oops)[:2], (FORBIDDEN, "oops"))
        self.assertEqual(self.judge({**STARTED, "exited": b"4"}, console=oops)[0], HANG)

    def test_an_oops_before_the_program_started_is_not_held_against_it(self) -> None:
        oops = "[    1.0] BUG: kernel NULL pointer dereference\n" + LOG
        self.assertEqual(self.judge({**STARTED, "exited": b"0"}, console=oops)[0], OK)

    def test_a_program_whose_end_is_not_told_is_no_pass(self) -> None:
        self.assertEqual(self.judge(STARTED)[:2], (CANNOT_RUN, "died"))

    def test_a_program_ended_by_a_signal_is_no_verdict(self) -> None:
        self.assertEqual(
            self.judge({**STARTED, "killed": b"11"}),
            (ENVIRONMENT, "killed", "the program was ended by SIGSEGV"),
        )


class Output(unittest.TestCase):
    def test_the_mark_ends_the_output_however_it_is_cut(self) -> None:
        sent = b"one\0two\n\0filemap" + guest.END_OF_OUTPUT + b"of a process that was left behind\n"
        for size in (1, 2, 7, len(sent)):
            output = guest.OutputStream()
            shown = b"".join(output.feed(sent[at : at + size]) for at in range(0, len(sent), size))
            self.assertEqual((shown, output.ended), (b"one\0two\n\0filemap", True))

    def test_what_looked_like_the_mark_is_shown_in_the_end(self) -> None:
        output = guest.OutputStream()
        self.assertEqual(output.feed(b"one\0filemap-init"), b"one")
        self.assertEqual((output.rest(), output.ended), (b"\0filemap-init", False))


class Mkfs(unittest.TestCase):
    def test_lists_of_settings_are_given_once_and_the_users_win(self) -> None:
        ours = ["mkfs.xfs", "-m", "bigtime=0,rmapbt=0"]
        lists = disk.LISTS["xfs"]
        self.assertEqual(
            disk.joined(ours, ["-m", "rmapbt=1", "-b", "size=1k"], lists),
            ["mkfs.xfs", "-m", "bigtime=0,rmapbt=1", "-b", "size=1k"],
        )
        self.assertEqual(
            disk.joined(["-O", "^orphan_file"], ["-O", "orphan_file"], {"-O"}), ["-O", "orphan_file"]
        )
        self.assertEqual(disk.joined(["-O", "^a"], ["-O"], {"-O"}), ["-O", "^a", "-O"])


class Settings(unittest.TestCase):
    def test_a_setting_is_a_name_and_a_value(self) -> None:
        self.assertEqual(boot.setting("vm.dirty_bytes=262144"), "vm.dirty_bytes=262144")
        for text in ("vm.dirty_bytes", "=1", "../../x=1", "a b=1", "a="):
            with self.assertRaises(ValueError):
                boot.setting(text)


class Arguments(unittest.TestCase):
    def test_only_what_the_program_takes_with_the_users_options_is_added(self) -> None:
        def added(*words: str, accelerator: str = "tcg") -> set[str]:
            return {pair[0] for pair in arguments.added(list(words), accelerator)}

        everything = {"--dir", "--progress", "--json", "--round-timeout"}
        self.assertEqual(added("-n", "5"), everything)
        self.assertEqual(added("-n", "5", accelerator="kvm"), everything - {"--round-timeout"})
        self.assertEqual(added("--round-timeout=2m"), everything - {"--round-timeout"})
        self.assertEqual(added("x", "--explore"), everything - {"--round-timeout"})
        self.assertEqual(added("x", "--samples", "9"), everything - {"--round-timeout"})
        self.assertEqual(added("x", "--replay=2.2"), everything - {"--round-timeout", "--json"})
        self.assertEqual(added("--model-only"), {"--progress"})

    def test_what_the_tools_set_is_refused_behind_the_dashes(self) -> None:
        for check, words in (
            (arguments.check_for_program, ["--dir", "-d", "-d/x", "--json=x", "--progress"]),
            (
                arguments.check_for_table,
                ["--dir", "--json", "-m", "-muring", "--mode=x", "--compare", "--explore"],
            ),
        ):
            for word in words:
                with self.assertRaises(Failed) as raised:
                    check(["-n", "5", word])
                self.assertEqual(raised.exception.status, USAGE)
                self.assertIn(word, str(raised.exception))
        arguments.check_for_program(["--explore", "--mode", "uring", "-n", "5", "--model-only"])
        arguments.check_for_table(["--strict", "-n", "5"])

    def test_a_command_that_is_printed_repeats_the_guest(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            mine = pathlib.Path(folder, "mine.litmus")
            mine.write_text("a test", encoding="utf-8")
            before = arguments.outside("tools/kernel-run", ["--fs", "xfs", "--kernel", "newest"], "7.3.4")
            said = arguments.Repeated(before, [str(mine), "-n", "5"], "tcg")
            line = "/program /tests/0/mine.litmus -n 5 --dir /mnt --progress never --json /run/result.json"
            shown = b""
            for piece in (f"x\nRepeat with   {line} --round-", "timeout 60s --seed 7\nunfinished"):
                shown += said.feed(piece.encode())
            repeated = f"tools/kernel-run --fs xfs --kernel 7.3.4 -- {mine} -n 5 --seed 7"
            self.assertEqual(shown.decode(), f"x\nRepeat with   {repeated}\n")
            self.assertEqual(said.rest(), b"unfinished")

    def test_a_replay_that_is_printed_is_of_the_guest_too(self) -> None:
        said = arguments.Repeated(["tools/kernel-run", "--kernel=6.1"], ["t", "--explore"], "tcg")
        self.assertEqual(
            said.feed(b"Replay  filemap-uring t --mode sync --replay 2.2\n"),
            b"Replay        tools/kernel-run --kernel=6.1 -- t --mode sync --replay 2.2\n",
        )

    def test_litmus_tests_that_are_files_go_along(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            mine = pathlib.Path(folder, "mine.litmus")
            mine.write_text("a test", encoding="utf-8")
            self.assertEqual(
                arguments.with_tests(["--lanes", "2", str(mine), "catalogued", "not-there.litmus"]),
                (
                    ["--lanes", "2", "/tests/0/mine.litmus", "catalogued", "not-there.litmus"],
                    {"tests/0/mine.litmus": b"a test"},
                ),
            )


class Findings(unittest.TestCase):
    def test_what_the_kernel_complains_of_is_found_without_its_time_stamps(self) -> None:
        console = LOG + (
            "[   5.1] WARNING: CPU: 1 PID: 99 at io_uring/io_uring.c:2835 io_ring_exit_work+0x1/0x2\r\n"
            "[  60.1][   T34] INFO: task filemap-uring:77 blocked for more than 30 seconds.\r\n"
            "[  61.0] watchdog: BUG: soft lockup - CPU#0 stuck for 22s!\r\n"
            "[  62.0] nvme nvme0: 2/0/0 default/read/poll queues\r\n"
        )
        bad, warnings = guest.findings(console)
        self.assertEqual(bad, [])
        self.assertEqual(
            [line[:14] for line in warnings], ["WARNING: CPU: ", "INFO: task fil", "watchdog: BUG:"]
        )
