import pathlib
import tempfile
import unittest
import zlib

from kernel import guest
from kernel.common import CANNOT_RUN, ENVIRONMENT, FORBIDDEN, HANG, OK


def stream(*records, end=True):
    data = b"".join(b"%s %d\n%s\n" % (name.encode(), len(value), value) for name, value in records)
    if end:
        data += b"end 8\n%08x\n" % zlib.crc32(data)
    return data


class Result(unittest.TestCase):
    SENT = stream(("booted", b"6.1.0"), ("json", b'{"a":\n1}'), ("exited", b"0"))

    def test_records_come_through_however_they_are_cut(self):
        for size in (1, 2, 7, len(self.SENT)):
            result = guest.ResultStream()
            for at in range(0, len(self.SENT), size):
                result.feed(self.SENT[at : at + size])
            self.assertTrue(result.ended)
            self.assertEqual(result.records, {"booted": b"6.1.0", "json": b'{"a":\n1}', "exited": b"0"})

    def test_without_the_last_byte_it_has_not_ended(self):
        result = guest.ResultStream()
        result.feed(self.SENT[:-1])
        self.assertFalse(result.ended)

    def test_a_damaged_byte_is_not_believed(self):
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
    def judge(self, records, ended=True, console=LOG, timed_out=None):
        return guest.judge(records, ended, console, timed_out)

    def test_the_programs_status_is_returned_when_the_end_marker_came(self):
        for status in (0, 1, 2, 3, 4, 125, 130):
            self.assertEqual(self.judge({**STARTED, "exited": b"%d" % status})[0], status)

    def test_126_and_127_are_never_returned(self):
        for status in (126, 127, 128, 255):
            self.assertEqual(self.judge({**STARTED, "exited": b"%d" % status})[0], ENVIRONMENT)

    def test_an_exit_without_the_end_marker_is_not_believed(self):
        self.assertEqual(self.judge({**STARTED, "exited": b"0"}, ended=False)[:2], (CANNOT_RUN, "died"))

    def test_a_panic_is_bad_only_while_the_program_ran(self):
        self.assertEqual(self.judge(STARTED, False, LOG + PANIC)[:2], (FORBIDDEN, "panic"))
        self.assertEqual(self.judge(BOOTED, False, PANIC)[:2], (CANNOT_RUN, "no-start"))
        self.assertEqual(self.judge({}, False, PANIC)[:2], (CANNOT_RUN, "no-boot"))

    def test_a_time_out_is_a_hang_only_while_the_program_ran(self):
        self.assertEqual(self.judge(STARTED, False, LOG, "run")[:2], (HANG, "hang"))
        self.assertEqual(self.judge({**STARTED, "timeout": b"9"})[:2], (HANG, "hang"))
        self.assertEqual(self.judge(BOOTED, False, LOG, "boot")[:2], (CANNOT_RUN, "no-start"))
        self.assertEqual(self.judge({}, False, "", "boot")[:2], (CANNOT_RUN, "no-boot"))

    def test_a_failed_mount_cannot_tell(self):
        self.assertEqual(
            self.judge({**BOOTED, "failed": b"mount -t xfs: EINVAL"}),
            (CANNOT_RUN, "no-start", "mount -t xfs: EINVAL"),
        )

    def test_an_oops_turns_a_pass_into_a_failure_and_leaves_other_results(self):
        oops = LOG + "[    3.0] BUG: kernel NULL pointer dereference, address: 0000000000000008\n"
        self.assertEqual(self.judge({**STARTED, "exited": b"0"}, console=oops)[:2], (FORBIDDEN, "oops"))
        self.assertEqual(self.judge({**STARTED, "exited": b"4"}, console=oops)[0], HANG)

    def test_an_oops_before_the_program_started_is_not_held_against_it(self):
        oops = "[    1.0] BUG: kernel NULL pointer dereference\n" + LOG
        self.assertEqual(self.judge({**STARTED, "exited": b"0"}, console=oops)[0], OK)

    def test_a_program_whose_end_is_not_told_is_no_pass(self):
        self.assertEqual(self.judge(STARTED)[:2], (CANNOT_RUN, "died"))

    def test_a_program_ended_by_a_signal_is_no_verdict(self):
        self.assertEqual(
            self.judge({**STARTED, "killed": b"11"}),
            (ENVIRONMENT, "killed", "the program was ended by SIGSEGV"),
        )


class Arguments(unittest.TestCase):
    def test_litmus_tests_that_are_files_go_along(self):
        with tempfile.TemporaryDirectory() as folder:
            mine = pathlib.Path(folder, "mine.litmus")
            mine.write_text("a test")
            self.assertEqual(
                guest.with_tests(["--lanes", "2", str(mine), "catalogued", "not-there.litmus"]),
                (
                    ["--lanes", "2", "/tests/0/mine.litmus", "catalogued", "not-there.litmus"],
                    {"tests/0/mine.litmus": b"a test"},
                ),
            )


class Findings(unittest.TestCase):
    def test_what_the_kernel_complains_of_is_found_without_its_time_stamps(self):
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
