#!/usr/bin/env python3
"""Runs the real program on commands that have a bad day: what it tells, how it exits and what it leaves.

    src/app/command_test.py PROGRAM SPECIMEN [NAME…]      NAME: only the tests that have it in their name

Prints TAP. SPECIMEN is a program that behaves as it is told (src/supervisor/specimen.cpp). No test waits for time
to pass: where something must have happened first, it looks until it has.
"""

from __future__ import annotations

import errno
import json
import os
import pathlib
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import typing

from command_line import DOCS, PATIENCE, Case, Finished, default_signals, eventually, find, limit, main

# Two that append to one file, and fail where the second letter comes first.
RACE = 'echo a >>$TMPDIR/f & echo b >>$TMPDIR/f & wait; test "$(head -c 1 $TMPDIR/f)" = a'
# The same, and it cannot fail.
NO_RACE = "echo a >>$TMPDIR/f & echo b >>$TMPDIR/f & wait"
WAYS = (["-n", "3"], ["--explore", "--explore-limit", "5"], ["--replay", "1"])
NOBODY = 65534
COMMAND_SCHEMA = DOCS / "command.schema.json"


def processes_with(mark: str) -> list[str]:
    """Command lines of those that have it in their environment: of a command, and all that it started."""
    found = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            pass
    return found


class Commands(Case):
    """A command is marked by its environment, so that what is left of it can be told from all else."""

    specimen = ""

    def setUp(self) -> None:
        super().setUp()
        self.mark = f"FILEMAP_TEST_MARK={os.getpid()}-{random.getrandbits(64):x}"
        name, _, value = self.mark.partition("=")
        self.environment = {**os.environ, name: value}

    def start_here(self, *arguments: str, **popen: typing.Any) -> subprocess.Popen[bytes]:
        popen.setdefault("env", self.environment)
        popen.setdefault("cwd", self.files)
        return self.start("--dir", self.dir, *arguments, **popen)

    def of(self, way: list[str], *command: str, expect: int | None = 0, **popen: typing.Any) -> Finished:
        """Nothing of it is left, whatever it was."""
        finished = self.end_of(self.start_here(*way, "--", *command, **popen))
        if expect is not None:
            self.assertEqual(finished.status, expect, finished.complaint + finished.text)
        self.assertGreaterEqual(finished.status, 0, finished.complaint)
        self.assert_gone()
        return finished

    def assert_gone(self) -> None:
        self.assertEqual(processes_with(self.mark), [])
        self.assert_nothing_left()

    def await_the_end_of_all(self) -> None:
        eventually(lambda: not processes_with(self.mark))
        eventually(lambda: not os.listdir(self.dir))


class Answers(Commands):
    """What works."""

    def test_runs_are_counted(self) -> None:
        run = self.of(["-n", "5"], "sh", "-c", "exit 0")
        self.assertIn("Observation sh Never 0 5\n", run.text)
        run = self.of(["-n", "5"], "sh", "-c", "echo why; exit 7", expect=1)
        self.assertIn("Observation sh Always 5 0\n", run.text)
        self.assertIn("exit 7", run.text)
        self.assertIn("\n  why\n", run.text)

    def test_an_order_is_found_and_the_line_that_is_told_repeats_it(self) -> None:
        run = self.of(["--explore", "--fail-on", "never said"], "sh", "-c", RACE, expect=1)
        self.assertIn("Replay", run.text)
        line = find(r"^ *Replay +(.*)$", run.text, re.MULTILINE)
        words = shlex.split(line)
        self.assertIn("--fail-on", words)
        self.assertEqual(words[-2:], ["-c", RACE])
        for _ in range(3):
            again = self.end_of(self.start(*words[1:], env=self.environment, cwd=self.files))
            self.assertEqual(again.status, 1, again.complaint + again.text)
        self.assert_gone()

    def test_nothing_is_found_where_there_is_nothing(self) -> None:
        run = self.of(["--explore"], "sh", "-c", NO_RACE)
        self.assertIn("No order of its operations on contended files breaks it", run.text)

    def test_its_directory_may_be_below_a_link(self) -> None:
        link = os.path.join(self.files, "link")
        os.symlink(self.dir, link)
        search = ["--dir", link, "--explore", "--explore-limit", "3"]
        run = self.end_of(
            self.start(*search, "--", "sh", "-c", NO_RACE, cwd=self.files, env=self.environment)
        )
        self.assertRegex(run.text, r"(?m)^Files +\$TMPDIR/f$")
        self.assert_gone()

    def test_output_that_matches_is_a_failure(self) -> None:
        self.of(["-n", "2", "--fail-on", "pan+ic"], "sh", "-c", "echo a panic here", expect=1)
        self.of(["-n", "2", "--fail-on", "pan+ic"], "sh", "-c", "echo all well")

    def test_it_runs_where_it_is_and_has_a_directory_of_its_own(self) -> None:
        for way in WAYS[:2]:
            self.of(
                way,
                "sh",
                "-c",
                'test "$PWD" = "$1" && test -d "$TMPDIR" && cd / && : >$TMPDIR/f',
                "sh",
                self.files,
            )


SAVES = 'echo one >"$TMPDIR/log" || exit 3'


class Faults(Commands):
    """Operations that fail."""

    def faults_of(self, script: str, expect: int) -> typing.Any:
        run = self.of(["--faults", "--run-timeout", "2s", "--json", "-"], "sh", "-c", script, expect=expect)
        return self.check_json(json.loads(run.text), COMMAND_SCHEMA)["faults"]

    def taken(self, script: str, expect: int) -> dict[str, str]:
        return {one["fault"]: one["taken"] for one in self.faults_of(script, expect)["tried"]}

    def test_who_tells_of_each(self) -> None:
        taken = self.taken(SAVES, expect=0)
        self.assertEqual(taken["open#1=EMFILE"], "told")
        self.assertEqual(taken["write#1=ENOSPC"], "told")
        self.assertEqual(taken["write#1=short"], "recovered")  # a shell writes the rest
        self.assertEqual(set(taken.values()), {"told", "recovered"})

    def test_who_swallows_one(self) -> None:
        taken = self.taken(
            'echo one >"$TMPDIR/log" 2>/dev/null; sync "$TMPDIR/log" 2>/dev/null; exit 0', expect=1
        )
        self.assertEqual(taken["write#1=EIO"], "swallowed")  # the file is another
        self.assertEqual(taken["fsync#1=EIO"], "swallowed")  # and here nobody knows

    def test_who_dies_of_one_or_hangs(self) -> None:
        taken = self.taken('echo one 2>/dev/null >"$TMPDIR/log" || kill -9 $$', expect=1)
        self.assertEqual(taken["write#1=ENOSPC"], "died")
        taken = self.taken('echo one 2>/dev/null >"$TMPDIR/log" || while :; do sleep 1; done', expect=1)
        self.assertEqual(taken["write#1=ENOSPC"], "hung")

    def test_what_fails_as_it_is_is_not_tried(self) -> None:
        table = self.faults_of("exit 4", expect=1)
        self.assertEqual((table["fails_as_it_is"], table["tried"]), (True, []))

    def test_the_line_that_is_told_repeats_it(self) -> None:
        script = 'echo one >"$TMPDIR/log" 2>/dev/null; cat "$TMPDIR/log"; exit 0'
        run = self.of(["--faults"], "sh", "-c", script, expect=0)
        self.assertIn("It tells of every fault", run.text)  # by what cat says
        one = self.of(["--replay", "1", "--fault", "write#1=ENOSPC"], "sh", "-c", SAVES, expect=1)
        self.assertIn("exit 3", one.text)

    def test_of_runs_as_it_is(self) -> None:
        run = self.of(["-n", "3", "--fault", "write=ENOSPC"], "sh", "-c", SAVES, expect=1)
        self.assertIn("Observation sh Always 3 0\n", run.text)
        self.assertIn("3 calls of all runs failed", run.text)
        never = ["-n", "20", "--fault", "write=ENOSPC@0.5", "--seed", "1"]
        first, again = (self.of(never, "sh", "-c", SAVES, expect=None).status for _ in range(2))
        self.assertEqual(first, again)  # what is drawn is drawn by the seed

    def test_what_cannot_fail_so(self) -> None:
        for fault, why in {
            "write=EWRONG": "there is no error 'EWRONG'",
            "wirte=EIO": "there is no operation 'wirte'",
            "close=EIO": "a close that fails has closed all the same",
            "write": "there is no '='",
            "write#0=EIO": "a whole number from 1",
            "write=EIO@2": "the probability is more than 0",
        }.items():
            run = self.of(["-n", "1", "--fault", fault], "true", expect=2)
            self.assertIn(why, run.complaint)
        self.assertIn("--faults: a COMMAND is expected", self.end_of(self.start("--faults")).complaint)


class Outputs(Commands):
    """JSON and traces."""

    def test_json_is_what_its_schema_says(self) -> None:
        for way in (*WAYS, ["--faults"]):
            for script in (RACE, NO_RACE):
                run = self.of([*way, "--json", "-"], "sh", "-c", script, expect=None)
                result = self.check_json(json.loads(run.text), COMMAND_SCHEMA)
                self.assertEqual(result["exit_status"], run.status)
                self.assertEqual(result["subject"], ["sh", "-c", script])

    def test_a_trace_has_each_operation(self) -> None:
        trace = os.path.join(self.files, "trace.json")
        run = self.of(["--explore", "--trace", trace, "--json", "-"], "sh", "-c", RACE, expect=1)
        found = json.loads(run.text)["exploration"]["by_order"]
        with open(trace, encoding="utf-8") as file:
            events = json.load(file)["traceEvents"]
        numbers = [event["args"]["number"] for event in events if "number" in event.get("args", {})]
        self.assertEqual(numbers, list(range(1, len(found["calls"]) + 1)))
        self.assertEqual(sum("decides" in event.get("args", {}) for event in events), 2)
        self.assertGreater(sum(event["name"] == "held" for event in events), 1)


class BadDays(Commands):
    """What a command does that it should not."""

    def test_there_is_nothing_to_run(self) -> None:
        plain = pathlib.Path(self.files, "plain")
        plain.write_text("#!/bin/sh\n", encoding="ascii")
        for way in WAYS:
            for command, why in (
                ("/nowhere/at/all", errno.ENOENT),
                ("no-such-program-as-this", errno.ENOENT),
                (str(plain), errno.EACCES),
                ("/", errno.EACCES),
            ):
                run = self.of(way, command, expect=3)
                self.assert_one_line(run, command, os.strerror(why))

    def test_it_dies_by_a_signal(self) -> None:
        run = self.of(["-n", "3"], self.specimen, "kills-itself", str(int(signal.SIGABRT)), expect=1)
        self.assertIn("killed by SIGABRT", run.text)
        run = self.of(WAYS[1], self.specimen, "kills-itself", str(int(signal.SIGSEGV)), expect=1)
        self.assertIn("killed by SIGSEGV", run.text)

    def test_it_leaves_children(self) -> None:
        run = self.of(["-n", "2"], self.specimen, "leaves-a-daemon")
        self.assertIn("2 processes", run.text)
        self.of(WAYS[1], self.specimen, "leaves-a-daemon")
        self.of(["-n", "1"], self.specimen, "leaves-children", "300")

    def test_it_never_ends(self) -> None:
        run = self.of(["-n", "2", "--run-timeout", "50ms"], self.specimen, "never-ends", expect=1)
        self.assertIn("not ended after 0.05 s", run.text)
        self.of(
            ["--explore", "--explore-limit", "3", "--run-timeout", "50ms"],
            self.specimen,
            "never-ends",
            expect=1,
        )

    def test_it_floods_its_output(self) -> None:
        for way in (["-n", "1"], ["--explore", "--explore-limit", "1"]):
            process = self.start_here(*way, "--", self.specimen, "floods", "100")
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            self.assertEqual(process.returncode, 0)
            self.need_no_sanitizer("a sanitizer has memory of its own")
            self.assertLess(usage.ru_maxrss, 64 * 1024)  # KiB
        self.assert_gone()

    def test_it_writes_for_ever(self) -> None:
        for way in (["-n", "1"], ["--explore", "--explore-limit", "1"]):
            self.of([*way, "--run-timeout", "200ms"], "yes", expect=1)

    def test_it_closes_its_streams_and_is_waited_for(self) -> None:
        for way in WAYS:
            self.of(way, self.specimen, "closes-its-streams", self.fresh(), expect=None)

    def fresh(self) -> str:
        return os.path.join(self.files, f"{random.getrandbits(64):x}")

    def test_it_uses_io_uring_and_is_told_what_to_do(self) -> None:
        run = self.of(["--explore", "--explore-limit", "5"], self.specimen, "sets-up-a-ring", expect=None)
        self.assertIn("--deny io_uring", " ".join(run.text.split()))
        run = self.of(["--explore", "--deny", "io_uring"], self.specimen, "sets-up-a-ring", expect=1)
        self.assertIn(f"exit {errno.ENOSYS}", run.text)

    def test_it_maps_what_it_changes_and_is_told_so(self) -> None:
        run = self.of(WAYS[1], self.specimen, "maps-to-write", self.fresh())
        self.assertIn("shared mapping", run.text)
        run = self.of(WAYS[1], self.specimen, "maps-to-read", self.fresh())
        self.assertNotIn("shared mapping", run.text)

    def test_it_has_seccomp_filters_of_its_own(self) -> None:
        for way in WAYS:
            self.of(way, self.specimen, "has-a-filter")
        run = self.of(WAYS[1], self.specimen, "has-a-listener", expect=1)
        self.assertIn(f"exit {errno.EBUSY}", run.text)
        self.of(["-n", "1"], self.specimen, "has-a-listener")

    def test_it_sends_itself_signals_all_the_time(self) -> None:
        for way in WAYS:
            self.of(way, "sh", "-c", f"exec {shlex.quote(self.specimen)} signals $TMPDIR/f")

    def test_it_opens_a_pipe_with_a_name(self) -> None:
        run = self.of(
            ["--explore", "--explore-limit", "20"],
            "sh",
            "-c",
            f"exec {shlex.quote(self.specimen)} names-a-pipe $TMPDIR/f",
        )
        self.assertIn("No order", run.text)

    def test_it_is_setuid_and_is_told_what_it_loses(self) -> None:
        copy = os.path.join(self.files, "copy")
        shutil.copy(self.specimen, copy)
        os.chmod(copy, 0o4755)
        run = self.of(WAYS[1], copy, "exits", "0")
        self.assertIn("\nRights        it is setuid", run.text)
        self.assertNotIn("Rights", self.of(WAYS[0], copy, "exits", "0").text)
        path = {**self.environment, "PATH": f"{self.files}:{os.environ['PATH']}"}
        self.assertIn("Rights", self.of(WAYS[2], "copy", "exits", "0", env=path).text)
        os.chmod(copy, 0o755)
        self.assertNotIn("Rights", self.of(WAYS[1], copy, "exits", "0").text)

    def test_it_is_this_program(self) -> None:
        inner = [self.program, "--dir", self.files, "--explore", "--", "true"]
        run = self.of(WAYS[0], *inner)
        run = self.of(WAYS[1], *inner, expect=1)
        self.assertIn("exit 125", run.text)
        self.assertIn("a seccomp listener already", " ".join(run.text.split()))
        self.assertEqual(os.listdir(self.files), [])

    def test_its_preparation_fails(self) -> None:
        for way in WAYS:
            run = self.of([*way, "--prepare", "echo no; exit 3"], "true", expect=3)
            self.assert_one_line(run, "--prepare echo no; exit 3: exit 3; it says: no")

    def test_its_preparation_fails_in_the_end_and_what_was_seen_is_told(self) -> None:
        count = self.fresh()
        run = self.of(
            ["-n", "9", "--prepare", f"echo >>{count}; test $(wc -l <{count}) -lt 4"], "true", expect=3
        )
        self.assertIn("Never 0 3", run.text)

    def test_as_an_ordinary_user(self) -> None:
        if os.getuid() != 0:
            self.skipTest("every other test is it")
        if shutil.which("setpriv") is None:
            self.skipTest("there is no setpriv(1)")
        user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        if (
            subprocess.run([*user, self.program, "--version"], capture_output=True, check=False).returncode
            != 0
        ):
            self.skipTest("it cannot be executed by others here")
        for folder in (self.dir, self.files):
            os.chown(folder, NOBODY, NOBODY)
        for way, expect in ((WAYS[0], None), (["--explore"], 1), (["--replay", "1"], None)):
            run = subprocess.run(
                [*user, self.program, "--dir", self.dir, *way, "--", "sh", "-c", RACE],
                capture_output=True,
                env=self.environment,
                cwd=self.files,
                timeout=PATIENCE,
                check=False,
            )
            if expect is not None:
                self.assertEqual(run.returncode, expect, run.stderr)
            self.assertEqual(run.stderr, b"")
            self.assert_gone()


class Interrupts(Commands):
    """Of this program, at any moment."""

    LOOP = "mkdir -p $TMPDIR/a/b/c; echo a >>$TMPDIR/a/b/c/f & echo b >>$TMPDIR/a/b/c/f & wait"
    ENDLESS = (
        ["-n", "1000000"],
        ["--explore", "--samples", "1000000"],
        ["-n", "1000000", "--prepare", "sleep 0.01"],
    )

    def moments(self) -> typing.Iterator[tuple[list[str], subprocess.Popen[bytes]]]:
        """Runs that have come to somewhere."""
        draw = random.Random(1)
        for way in self.ENDLESS:
            for _ in range(6):
                process = self.start_here(*way, "--", "sh", "-c", self.LOOP)
                eventually(self.work_directory)
                time.sleep(draw.random() / 10)  # anywhere: no moment is the right one
                yield way, process

    def test_ctrl_c_at_any_moment_leaves_nothing_and_tells_what_was_seen(self) -> None:
        for way, process in self.moments():
            process.send_signal(signal.SIGINT)
            run = self.end_of(process)
            self.assertEqual(run.status, 130, (way, run.complaint, run.text))
            self.assertEqual(run.complaint, "")
            self.assertIn("Filesystem", run.text)
            self.assert_gone()

    def test_ctrl_c_in_a_replay(self) -> None:
        ready = os.path.join(self.files, "ready")
        process = self.start_here("--replay", "2", "--", "sh", "-c", f"{NO_RACE}; : >{ready}; sleep 1000")
        eventually(lambda: os.path.exists(ready))
        process.send_signal(signal.SIGINT)
        run = self.end_of(process)
        self.assertEqual(run.status, 130, run.complaint + run.text)
        self.assertEqual(run.complaint, "")
        self.assert_gone()

    def test_ctrl_c_in_a_preparation(self) -> None:
        ready = os.path.join(self.files, "ready")
        for way in WAYS:
            process = self.start_here(*way, "--prepare", f": >{ready}; sleep 1000", "--", "true")
            eventually(lambda: os.path.exists(ready))
            process.send_signal(signal.SIGINT)
            run = self.end_of(process)
            self.assertEqual(run.status, 130, run.complaint + run.text)
            self.assertEqual(run.complaint, "")
            self.assert_gone()
            os.remove(ready)

    def test_the_time_in_which_it_is_stopped_is_none_of_the_command(self) -> None:
        ready, go = (os.path.join(self.files, name) for name in ("ready", "go"))
        seconds = 2
        for way in (["-n", "1"], ["--explore", "--explore-limit", "1"]):
            waits = f": >{ready}; until test -e {go}; do sleep 0.01; done"
            process = self.start_here("--run-timeout", f"{seconds}s", *way, "--", "sh", "-c", waits)
            eventually(lambda: os.path.exists(ready))
            process.send_signal(signal.SIGSTOP)
            time.sleep(seconds + 0.5)  # it would have had its time
            pathlib.Path(go).touch()
            process.send_signal(signal.SIGCONT)
            run = self.end_of(process)
            self.assertEqual(run.status, 0, run.complaint + run.text)
            self.assert_gone()
            os.remove(ready)
            os.remove(go)

    def test_sigkill_at_any_moment_leaves_nothing(self) -> None:
        for _, process in self.moments():
            process.send_signal(signal.SIGKILL)
            process.wait()
            self.await_the_end_of_all()

    def test_twice_at_once(self) -> None:
        for _, process in self.moments():
            process.send_signal(signal.SIGINT)
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(), 130)
            self.await_the_end_of_all()


def without_standard_input() -> None:
    default_signals()
    os.close(0)


class Surroundings(Commands):
    """What this program was started with."""

    def test_without_standard_input(self) -> None:
        for way in WAYS:
            self.of(
                way,
                "sh",
                "-c",
                "! read line",
                stdin=None,
                preexec_fn=without_standard_input,
            )

    def test_standard_output_is_full(self) -> None:
        for way in WAYS:
            with open("/dev/full", "wb") as full:
                run = self.of(way, "true", expect=3, stdout=full)
                self.assert_one_line(run, os.strerror(errno.ENOSPC))

    def test_few_descriptors(self) -> None:
        import resource  # pylint: disable=import-outside-toplevel

        self.need_no_sanitizer("a sanitizer looks at memory through descriptors of its own")
        run = self.of(WAYS[1], "true", expect=None, preexec_fn=limit(resource.RLIMIT_NOFILE, 12))
        self.assertIn(run.status, (0, 3), run.complaint)


if __name__ == "__main__":
    Commands.specimen = os.path.abspath(sys.argv.pop(2)) if len(sys.argv) > 2 else ""
    sys.exit(main(__doc__))
