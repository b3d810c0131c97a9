#!/usr/bin/env python3
"""Holds the program's side of docs/drivers.md: drivers that are right, and drivers that are wrong in one way.

    src/app/driver_test.py PROGRAM FOLDER [NAME…]      NAME: only the tests that have it in their name

FOLDER is where drivers are built. Prints TAP.
"""

from __future__ import annotations

import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import typing

from command_line import PATIENCE, PROGRESS, ROOT, Case, eventually, find, stderr_of, tap

folder = pathlib.Path()  # main() sets it
CANNOT = 125
HANG = 4


def broken(how: str) -> str:
    return f"x={sys.executable} {ROOT}/drivers/broken_driver.py {how}"


PYTHON = f"python={sys.executable} {ROOT}/drivers/python/driver.py"


def processes_with(mark: str) -> list[str]:
    """Those that have been given a variable of this value."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if f"FILEMAP_MARK={mark}\0".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text(encoding="utf-8", errors="replace"))
        except OSError:
            continue
    return found


class Driver(Case):
    def need_supervision(self) -> None:
        finished = self.run_program("--explore", "--dir", self.dir, "--", "true")
        if finished.status == CANNOT:
            self.skipTest(finished.complaint.strip())

    def driver(self, name: str) -> str:
        """Of tools/drivers: NAME=COMMAND."""
        built = subprocess.run(
            [sys.executable, str(ROOT / "tools/drivers"), "build", "--into", str(folder), name],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        if built.returncode == CANNOT:
            self.skipTest(built.stderr.strip())
        self.assertEqual(built.returncode, 0, built.stderr)
        return f"{name}={folder}/{name}"

    def only(self, result: typing.Any) -> typing.Any:
        (mode,) = result["modes"]
        return mode


class Right(Driver):
    def test_stands_beside_a_built_in_mode(self) -> None:
        result = self.run_for_json("tokio-4796", "-n", "200", "--mode", "sync", "--mode", PYTHON)
        built_in, driver = result["modes"]
        self.assertEqual((built_in["engine"], driver["engine"]), ("sync", "driver"))
        self.assertEqual((driver["verdict"], driver["rounds"]), ("ok", 200))
        self.assertEqual([state["rounds"] for state in driver["states"]], [200])
        self.assertEqual(driver["command"], PYTHON.partition("=")[2])
        self.assertIn("ack=complete", driver["engine_traits"]["features"])
        operations = {each["operation"] for each in driver["latencies_ns"]}
        self.assertEqual(operations, {"append", "fsync", "statx", "read"})

    def test_has_its_first_violation_and_a_trace(self) -> None:
        path = self.write_test_of(
            "reads",
            "file f = old[10]; handle r = open f;",
            "P0 { d = read(r, 0, 10); }",
            "exists (P0:d = old[10])",
        )
        trace = os.path.join(self.files, "trace.json")
        finished = self.run_here(path, "-n", "20", "--mode", PYTHON, "--trace", trace)
        self.assertIn("First violation: round 0", finished.text)
        self.assertIn("read", pathlib.Path(trace).read_text(encoding="utf-8"))

    def test_cannot_run_what_it_has_no_verb_for(self) -> None:
        finished = self.run_here("punch-read", "-n", "20", "--mode", PYTHON, expect=CANNOT)
        self.assertRegex(finished.text, r"cannot run: python [0-9.]+ has no punch")

    def test_cannot_be_told_a_directory_with_a_blank(self) -> None:
        here = os.path.join(self.files, "a b")
        os.mkdir(here)
        finished = self.run_program("tokio-4796", "-n", "5", "--dir", here, "--mode", PYTHON)
        self.assertEqual(finished.status, CANNOT)
        self.assertIn("choose another --dir", finished.text)

    def test_cannot_run_the_experiment_and_says_what_to_name(self) -> None:
        finished = self.run_here("-n", "20", "--mode", PYTHON, expect=CANNOT)
        self.assertIn("filemap-uring tokio-4796", finished.text)

    def test_is_told_the_flush_that_is_asked_for(self) -> None:
        result = self.run_for_json("tokio-4796", "-n", "20", "--flush", "--mode", PYTHON)
        self.assertEqual(self.only(result)["mode"], "python+flush")

    def test_is_compared_with_all_modes(self) -> None:
        result = self.run_for_json("tokio-4796", "-n", "5", "--compare", "--mode", PYTHON, expect=None)
        self.assertEqual(result["modes"][-1]["mode"], "python")

    def test_has_its_model_told(self) -> None:
        finished = self.run_program("tokio-4796", "--model-only", "--mode", PYTHON)
        self.assertEqual(finished.status, 0)
        self.assertIn("python", finished.text)

    def test_serves_one_test_after_the_other(self) -> None:
        result = self.run_for_json("tokio-4796", "append-twice", "-n", "20", "--mode", PYTHON)
        self.assertEqual([self.only(test)["rounds"] for test in result["runs"]], [20, 20])

    def test_is_interrupted_with_what_it_has_done(self) -> None:
        process = self.start(
            "--dir", self.dir, "tokio-4796", "--duration", "1h", "--mode", PYTHON, "--progress", "always"
        )
        self.read_until(stderr_of(process), PROGRESS)
        process.send_signal(signal.SIGINT)
        finished = self.end_of(process)
        self.assertEqual(finished.status, 130, finished.complaint)
        self.assertIn("Interrupted", finished.text)
        self.assert_nothing_left()

    def test_ends_with_the_program_that_is_killed(self) -> None:
        mark = os.path.basename(self.files)
        process = self.start(
            *("--dir", self.dir, "tokio-4796", "--duration", "1h", "--progress", "always"),
            *("--mode", PYTHON.replace("=", f"=FILEMAP_MARK={mark} ", 1)),
        )
        self.read_until(stderr_of(process), PROGRESS)
        self.assertTrue(processes_with(mark))
        process.kill()
        process.wait()
        eventually(lambda: not processes_with(mark))


class Wrong(Driver):
    """A driver that misbehaves is never a pass."""

    def check_that(self, how: str, *said: str, expect: int = CANNOT, patience: str = "60s") -> None:
        finished = self.run_here(
            *("tokio-4796", "-n", "2000"),
            *("--round-timeout", patience, "--mode", broken(how)),
            expect=expect,
        )
        for part in said:
            self.assertIn(part, " ".join((finished.text + finished.complaint).split()))

    def test_silent(self) -> None:
        self.check_that("silent", "it has not answered the greeting within 1 s", patience="1s")

    def test_no_command(self) -> None:
        finished = self.run_here("tokio-4796", "-n", "2", "--mode", "x=there-is-no-such", expect=CANNOT)
        self.assertIn("cannot run: it ended with exit status 127", finished.text)
        self.assert_one_line(finished, "x: ", "not found")

    def test_another_version(self) -> None:
        self.check_that("version", "it speaks version 2 of the protocol, this program version 1")

    def test_an_unknown_claim(self) -> None:
        self.check_that("claim", "its claim ack=maybe has no meaning")

    def test_one_that_cannot(self) -> None:
        self.check_that("cannot", "it never can")

    def test_dying(self) -> None:
        self.check_that("dying", "it ended with exit status 3: these are its last words")

    def test_hanging(self) -> None:
        self.check_that("hanging", "a round did not end within 1.00 s", expect=HANG, patience="1s")

    def test_babbling(self) -> None:
        self.check_that("babbling", 'it says "lorem ipsum" where')

    def test_too_few_values(self) -> None:
        self.check_that("short", "where a value for 8 operations is expected")

    def test_a_round_twice(self) -> None:
        self.check_that("twice", "where a round that it has not told yet is expected")

    def test_an_odd_number_of_digits(self) -> None:
        self.check_that("odd", "where pairs of hexadecimal digits is expected")

    def test_bytes_that_never_were(self) -> None:
        self.check_that("lying", "forbidden", expect=1)

    def test_descriptors_that_are_kept(self) -> None:
        self.check_that("keeping", "still open 1 s after it was done", patience="1s")

    def test_a_file_that_is_left(self) -> None:
        self.check_that("leaving", "left behind")

    def test_what_is_written_late_is_waited_for(self) -> None:
        path = self.write_test_of(
            "late",
            'file f = ""; handle w = open f;',
            "P0 { append(w, lorem[10]); }",
            "forbidden (f != lorem[10])",
        )
        result = self.run_for_json(path, "-n", "20", "--mode", broken("late"))
        self.assertEqual(self.only(result)["violations"]["count"], 0)

    def test_none_is_left(self) -> None:
        mark = os.path.basename(self.files)
        for how in ("silent", "hanging", "keeping", "babbling"):
            marked = broken(how).replace("=", f"=FILEMAP_MARK={mark} ", 1)
            self.run_here("tokio-4796", "-n", "5", "--round-timeout", "1s", "--mode", marked, expect=None)
        self.assertEqual(processes_with(mark), [])


class Explored(Driver):
    def explore(self, *arguments: str, expect: int = 0) -> typing.Any:
        self.need_supervision()
        finished = self.run_here("--explore", "--json", "-", *arguments, expect=expect)
        return self.check_exploration(finished.json)

    def test_has_one_schedule_where_all_is_ordered(self) -> None:
        result = self.only(self.explore("tokio-4796", "--mode", PYTHON)["tests"][0])["result"]
        self.assertEqual((result["schedules"], result["violating"], result["complete"]), (1, 0, True))

    def test_comes_to_every_state_of_the_model(self) -> None:
        result = self.only(self.explore("cursor-two-readers", "--mode", PYTHON)["tests"][0])["result"]
        self.assertEqual(len(result["states"]), result["allowed_states"])
        self.assertGreater(result["allowed_states"], 1)

    def test_one_that_does_not_greet_cannot_run(self) -> None:
        explored = self.explore("tokio-4796", "--mode", broken("version"), expect=CANNOT)
        self.assertIn("it speaks version 2", self.only(explored["tests"][0])["cannot_run"])

    def test_tokio_has_the_states_of_its_model(self) -> None:
        tests = ["tokio-4796", "tokio-4796-ownstat", "cursor-append", "clone-seek", "write-close-open"]
        explored = self.explore(*tests, "--model", "posix", "--mode", self.driver("tokio"))
        for test in explored["tests"]:
            result = self.only(test)["result"]
            self.assertTrue(result["as_allowed"], test["name"])
            self.assertEqual(len(result["states"]), result["allowed_states"], test["name"])

    def test_tokio_is_mended_by_a_flush(self) -> None:
        tokio = self.driver("tokio")
        found = self.only(self.explore("tokio-4796", "--mode", tokio)["tests"][0])["result"]["violation"]
        mended = found["why"]["mended_by"][0]
        self.assertEqual(mended["change"], "flush(w) before P0's notify(written)")
        self.assertEqual(mended["violating"], 0)
        again = self.run_here("tokio-4796", "--mode", tokio, "--replay", found["witness"])
        self.assertIn(found["state"], again.text)

    def test_tells_how_to_repeat_it(self) -> None:
        self.need_supervision()
        found = self.run_here("tokio-4796", "--explore", "--mode", self.driver("tokio")).text
        words = shlex.split(find(r"^Replay +(.*)", found, re.MULTILINE))
        again = self.run_program(*words[1:])
        self.assertIn("violates, as the mode may", again.text)


def main() -> int:
    global folder  # pylint: disable=global-statement
    if len(sys.argv) < 3 or sys.argv[1].startswith("-"):
        print(__doc__)
        return 2
    Case.program = os.path.abspath(sys.argv[1])
    folder = pathlib.Path(sys.argv[2]).resolve()
    return tap.run(tap.tests_of(sys.modules["__main__"], sys.argv[3:]))


if __name__ == "__main__":
    sys.exit(main())
