#!/usr/bin/env python3
"""Holds the drivers whose runtime is here against docs/drivers.md, and the check against broken ones.

    drivers/drivers_test.py FOLDER [NAME…]      NAME: only the tests that have it in their name

FOLDER is where the drivers are built. Prints TAP.
"""

from __future__ import annotations

import pathlib
import shlex
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import tap  # noqa: E402 pylint: disable=wrong-import-position

PATIENCE = 600  # seconds; only ends a test that has failed
CANNOT = 125
folder = pathlib.Path()  # main() sets it


def drivers(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "tools/drivers"), *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def failures_of(done: subprocess.CompletedProcess[str]) -> str:
    """The checks that did not pass, and why."""
    lines = done.stdout.splitlines()
    failed = [at for at, line in enumerate(lines) if line.startswith("not ok ")]
    return "\n".join("\n".join(lines[at : at + 2]) for at in failed)


class Drivers(unittest.TestCase):
    def check(self, name: str, *environment: str) -> None:
        built = drivers("build", "--into", str(folder), name)
        if built.returncode == CANNOT:
            self.skipTest(built.stderr.strip())
        self.assertEqual(built.returncode, 0, built.stderr)
        row = self.row_of(name)
        if "lacks" in row:
            self.skipTest(" ".join(row[3:]))
        command = " ".join([*environment, row[2].partition("=")[2]])
        done = drivers("check", "--timeout", "60", command)
        self.assertEqual((done.returncode, failures_of(done)), (0, ""), done.stdout + done.stderr)

    def row_of(self, name: str) -> list[str]:
        """Its name, --mode, NAME=COMMAND, and the words of its state."""
        rows = [shlex.split(row) for row in drivers("list", "--into", str(folder)).stdout.splitlines()]
        (row,) = [row for row in rows if row[0] == name]
        return row

    def test_node(self) -> None:
        self.check("node")

    def test_node_with_io_uring(self) -> None:
        self.check("node", "UV_USE_IO_URING=1")

    def test_python(self) -> None:
        self.check("python")

    def test_python_buffered(self) -> None:
        self.check("python-buffered")

    def test_go(self) -> None:
        self.check("go")

    def test_java(self) -> None:
        self.check("java")

    def test_tokio(self) -> None:
        self.check("tokio")


class Broken(unittest.TestCase):
    """What the check says of a driver that is wrong in one way."""

    def check_that(self, how: str, failing: str, why: str) -> None:
        # Those that say nothing are waited for.
        patience = "2" if how in ("silent", "hanging", "keeping") else "60"
        done = drivers("check", "--stop", "--timeout", patience, f"drivers/broken_driver.py {how}")
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertRegex(failures_of(done), rf"^not ok \d+ - {failing}\n# .*{why}")

    def test_silent(self) -> None:
        self.check_that("silent", "it greets", "nothing was said for 2 s")

    def test_another_version(self) -> None:
        self.check_that("version", "it greets", 'not "hello 2 ')

    def test_an_unknown_claim(self) -> None:
        self.check_that("claim", "it greets", "its claim ack=maybe has no meaning")

    def test_one_that_cannot_what_it_claims(self) -> None:
        self.check_that("cannot", "an append is at the end", "it never can")

    def test_dying(self) -> None:
        self.check_that("dying", "an append is at the end", "exit status 3: these are its last words")

    def test_hanging(self) -> None:
        self.check_that("hanging", "an append is at the end", "nothing was said for 2 s")

    def test_babbling(self) -> None:
        self.check_that("babbling", "an append is at the end", 'it says "lorem ipsum"')

    def test_too_few_values(self) -> None:
        self.check_that("short", "an append is at the end", "1 values of 2 operations")

    def test_a_round_twice(self) -> None:
        self.check_that("twice", "an append is at the end", "it is no round that is to come")

    def test_bytes_that_never_were(self) -> None:
        self.check_that("lying", "a read is at its offset", "is xee")

    def test_an_odd_number_of_digits(self) -> None:
        self.check_that("odd", "a read is at its offset", "is no value of read")

    def test_descriptors_that_are_kept(self) -> None:
        self.check_that("keeping", "an append is at the end", "open 2 s after it was done")

    def test_a_file_that_is_left(self) -> None:
        self.check_that("leaving", "an append is at the end", "it leaves left behind")

    def test_what_is_written_late_is_waited_for(self) -> None:
        done = drivers("check", "--timeout", "60", "drivers/broken_driver.py late")
        self.assertEqual((done.returncode, failures_of(done)), (0, ""), done.stdout + done.stderr)

    def test_the_one_that_is_right(self) -> None:
        done = drivers("check", "--timeout", "60", "drivers/broken_driver.py right")
        self.assertEqual((done.returncode, failures_of(done)), (0, ""), done.stdout + done.stderr)


class Tool(unittest.TestCase):
    def test_a_driver_that_cannot_start_is_status_125(self) -> None:
        done = drivers("check", "there-is-no-such-driver")
        self.assertEqual((done.returncode, done.stdout), (CANNOT, ""))
        self.assertIn("the driver cannot start", done.stderr)

    def test_usage_is_status_2(self) -> None:
        wrong: list[list[str]] = [[], ["check"], ["build", "there-is-no-such-driver"], ["list", "more"]]
        for arguments in wrong:
            self.assertEqual(drivers(*arguments).returncode, 2, arguments)


def main() -> int:
    global folder  # pylint: disable=global-statement
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        print(__doc__)
        return 2
    folder = pathlib.Path(sys.argv[1]).resolve()
    return tap.run(tap.tests_of(sys.modules["__main__"], sys.argv[2:]))


if __name__ == "__main__":
    sys.exit(main())
