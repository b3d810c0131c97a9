#!/usr/bin/env python3
"""Runs the real program on a real directory and checks what it prints, how it exits and what it leaves.

    src/app/command_line_test.py PROGRAM [NAME…]      NAME: only the tests that have it in their name

Prints TAP. No test waits for time to pass: where something must have happened first, it looks until it
has. `PATIENCE` only ends a test that has failed.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import pathlib
import pty
import re
import resource
import select
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import typing

from command_line import (
    COMPARED,
    DOCS,
    IO_URING_ENTER,
    MODES,
    PATIENCE,
    PROGRESS,
    Case,
    Finished,
    can_mount,
    default_signals,
    eventually,
    filesystem_of,
    find,
    limit,
    main,
    refuse_io_uring,
    ring_is_available,
    stderr_of,
)


class Runs(Case):
    """What works."""

    def test_plain_run_prints_a_report_and_exits_0(self) -> None:
        self.need_ring()
        run = self.run_here("--iterations", "300")
        self.assertEqual(run.err, b"")
        self.assertNotIn(b"\x1b", run.out)
        self.assertIn("\nObservation tokio-4796 Never 0 300\n", run.text)
        self.assertIn("\nVerdict       ok: nothing forbidden was seen\n", run.text)
        self.assertRegex(run.text, r"\nViolations    0 of 300: below .* with 95 % confidence\n")
        for heading in (
            "Histogram (1 outcome)",
            "Hazards ",
            "Rounds ",
            "Latency ",
            "Host ",
            "Filesystem ",
            "Ring ",
            "Seed ",
            "Repeat with ",
        ):
            self.assertIn("\n" + heading, run.text)

    def test_compare_runs_every_mode_and_tells_them_apart(self) -> None:
        self.need_ring()
        result = self.run_for_json("--compare", "--iterations", "40", "--seed", "3")
        self.assertEqual([mode["mode"] for mode in result["modes"]], COMPARED)
        for mode in result["modes"]:
            self.assertEqual(mode["rounds"], 40)
            if mode["stale_read"] == "forbidden":
                self.assertEqual(mode["verdict"], "ok", mode["mode"])
            else:
                self.assertIn(mode["verdict"], ["allowed", "hazards-only", "not-exercised"])
        text = self.run_here("--compare", "--iterations", "20").text
        self.assertIn("\nMode ", text)
        for mode in COMPARED:
            self.assertIn(f"\nObservation tokio-4796/{mode} ", text)

    def test_each_mode_runs_alone(self) -> None:
        for mode in MODES + ["tokio-fs+flush"]:
            if "uring" in mode and not ring_is_available():
                continue
            with self.subTest(mode=mode):
                result = self.run_for_json("--mode", mode, "--iterations", "30")
                self.assertEqual([m["mode"] for m in result["modes"]], [mode])
                self.assertEqual(result["modes"][0]["rounds"], 30)
                self.assertEqual(result["exit_status"], 0)

    def test_runs_on_the_default_directory(self) -> None:
        env = {**os.environ, "TMPDIR": self.dir}
        run = self.run_program("-n", "5", "--mode", "sync", "--json", "-", env=env)
        self.assertEqual(run.status, 0)
        self.assertEqual(run.json["parameters"]["dir"], self.dir)
        self.assert_nothing_left()

    def test_runs_on_a_disk(self) -> None:
        """The directory of the other tests may be in memory."""
        with tempfile.TemporaryDirectory(prefix="filemap-cli-") as directory:
            run = self.run_program(
                "--dir", directory, "-n", "20", "--mode", "blocking-pool,sync", "--json", "-"
            )
            self.assertEqual(run.status, 0)
            self.check_json(run.json)
            self.assertEqual(os.listdir(directory), [])

    def test_options_of_the_ring(self) -> None:
        self.need_ring()
        file = os.path.join(self.files, "r.json")
        run = self.run_here(
            "-n",
            "50",
            "-m",
            "uring",
            "--size",
            "4k",
            "--writes",
            "3",
            "--lanes",
            "4",
            "--handles",
            "reopen",
            "--sync",
            "fdatasync",
            "--entries",
            "8",
            "--no-defer-taskrun",
            "--iosqe-async",
            "--reuse-file",
            "--json",
            file,
            "--log-level",
            "off",
            "--no-color",
            "--progress",
            "never",
            "--round-timeout",
            "1m",
            "--seed",
            "5",
        )
        self.assertEqual(run.err, b"")
        result = self.check_json(json.loads(pathlib.Path(file).read_text(encoding="utf-8")))
        self.assertEqual(result["seed"], "5")
        self.assertEqual(result["modes"][0]["rounds"], 50)
        self.assertEqual(result["test"]["size_bytes"], 4096)
        self.assertEqual(result["test"]["writes"], 3)
        self.assertEqual(result["test"]["handles"], "reopen")
        self.assertEqual(result["test"]["sync"], "fdatasync")
        asked: dict[str, typing.Any] = {
            "iterations": 50,
            "duration_seconds": None,
            "lanes": 4,
            "reuse_file": True,
            "direct": False,
            "dir": self.dir,
            "entries": 8,
            "sqpoll": False,
            "defer_taskrun": False,
            "iosqe_async": True,
            "stalls": [],
            "round_timeout_ms": 60000,
            "strict": False,
            "stop_on_violation": False,
        }
        parameters = result["parameters"]
        self.assertEqual({key: parameters[key] for key in asked}, asked)
        self.assertNotIn("DEFER_TASKRUN", result["modes"][0]["engine_traits"]["features"])

    def test_options_of_the_pool_and_stalls(self) -> None:
        result = self.run_for_json(
            "-n",
            "50",
            "-m",
            "blocking-pool",
            "-m",
            "tokio-fs",
            "--flush",
            "--pool-threads",
            "2",
            "--pool-sharded",
            "--handles",
            "shared",
            "--sync",
            "none",
            "--stall",
            "fsync=1us@0.5",
            "--stall",
            "statx=1us",
            "--stall",
            "read=20ns",
            "--lanes",
            "3",
        )
        self.assertEqual(
            [mode["mode"] for mode in result["modes"]], ["blocking-pool+flush", "tokio-fs+flush"]
        )
        self.assertEqual(result["parameters"]["pool_threads"], 2)
        self.assertIs(result["parameters"]["pool_sharded"], True)
        self.assertEqual(result["parameters"]["stalls"], ["fsync=1us@0.5", "statx=1us", "read=20ns"])
        self.assertEqual(result["test"]["sync"], "none")

    def test_sqpoll_runs_or_says_why_not(self) -> None:
        self.need_ring()
        run = self.run_here("-n", "20", "--sqpoll", expect=None)
        if run.status != 0:
            self.assertEqual(run.status, 125)
            self.assertIn("cannot run", run.text)

    def test_a_ring_held_to_5_4_forbids_stale_reads_all_the_same(self) -> None:
        self.need_ring()
        result = self.run_for_json("-n", "50", "--ops", "5.4", "--lanes", "20", "--entries", "8")
        self.assertEqual(result["parameters"]["ops"], "5.4")
        mode = result["modes"][0]
        self.assertEqual(mode["verdict"], "ok")
        self.assertEqual(mode["engine_traits"]["features"], [])
        self.assertIn("statx by system call", mode["engine_traits"]["substitutions"])
        self.assertEqual(mode["engine_traits"]["ceiling"]["version"], "5.4")
        self.assertTrue(result["ring"]["available"])

    def test_the_report_says_which_ceiling_it_had_and_who_enforced_it(self) -> None:
        self.need_ring()
        run = self.run_here("-n", "20", "--ops", "5.4")
        self.assertRegex(run.text, r"(?m)^Ring +at most Linux 5\.4, (enforced by|on trust).*: no features$")
        self.assertRegex(run.text, r"(?m)^Repeat with .* --ops 5\.4 ")

    def test_what_needs_a_newer_kernel_than_the_ceiling_cannot_run(self) -> None:
        self.need_ring()
        run = self.run_here("-n", "20", "--ops", "5.4", "--iosqe-async", expect=125)
        self.assertIn("--iosqe-async needs Linux 5.6", run.text)
        self.assertIn("--ops 5.4", run.text)

    def test_runs_exactly_the_iterations_that_were_asked_for(self) -> None:
        for iterations, lanes in ((1, 1), (1, 8), (7, 3), (50, 64), (100, 64)):
            result = self.run_for_json("-n", str(iterations), "--lanes", str(lanes), "-m", "sync")
            self.assertEqual(result["modes"][0]["rounds"], iterations, f"{lanes} lanes")

    def test_duration_runs_that_long(self) -> None:
        begin = time.monotonic()
        result = self.run_for_json("--duration", "200ms", "-m", "sync,blocking-pool")
        self.assertGreaterEqual(time.monotonic() - begin, 0.4)
        self.assertIsNone(result["parameters"]["iterations"])
        self.assertEqual(result["parameters"]["duration_seconds"], 0.2)
        for mode in result["modes"]:
            self.assertGreater(mode["measured_seconds"], 0)
            self.assertGreater(mode["rounds"], 0)

    def test_whichever_ends_first_of_duration_and_iterations(self) -> None:
        self.assertEqual(
            self.run_for_json("--duration", "1h", "-n", "5", "-m", "sync")["modes"][0]["rounds"], 5
        )
        few = self.run_for_json("--duration", "1ms", "-n", "1000000000", "-m", "sync")
        self.assertLess(few["modes"][0]["rounds"], 1000000000)

    def test_direct_io_works_in_every_mode_where_the_filesystem_takes_it(self) -> None:
        with tempfile.TemporaryDirectory(prefix="filemap-cli-") as directory:
            try:
                os.close(os.open(directory + "/try", os.O_RDWR | os.O_CREAT | os.O_DIRECT))
            except OSError as error:
                self.skipTest(f"{filesystem_of(directory)} does not take O_DIRECT: {error}")
            os.remove(directory + "/try")
            for mode in MODES:
                if "uring" in mode and not ring_is_available():
                    continue
                with self.subTest(mode=mode, filesystem=filesystem_of(directory)):
                    run = self.run_program("--dir", directory, "-n", "10", "--direct", "-m", mode)
                    self.assertEqual(run.status, 0, run.complaint)
                    self.assertEqual(os.listdir(directory), [])


class Violations(Case):
    """What a stalled write brings out. The stall is longer than any fsync in memory takes."""

    STALLED = ("--stall", "write=200ms", "-n", "20")

    def test_a_violation_exits_0_where_it_is_allowed_and_1_where_it_is_strict(self) -> None:
        for arguments, status, verdict in (
            (["--stop-on-violation"], 0, "allowed"),
            (["--stop-on-violation", "--strict"], 1, "forbidden"),
        ):
            result = self.run_for_json("-m", "tokio-fs", *self.STALLED, *arguments, expect=status)
            mode = result["modes"][0]
            self.assertEqual(mode["verdict"], verdict)
            self.assertEqual(mode["violations"]["count"], 1)
            self.assertEqual(mode["histogram"][-1]["outcome"], "size-zero")
            self.assertEqual(mode["observation"]["bad"], 1)
            self.assertEqual(len(mode["violating_rounds"]), 1)
            self.assertEqual(result["exit_status"], status)

    def test_the_first_violation_is_told(self) -> None:
        run = self.run_here("-m", "tokio-fs", "--stop-on-violation", *self.STALLED)
        self.assertIn("\nFirst violation: round ", run.text)
        self.assertRegex(
            run.text, r"\n  writer   append   \|[ .#]{44}\| 123 bytes, worker \d+, acknowledged after "
        )
        self.assertIn("\n  Why  append was acknowledged when its bytes were queued, ", run.text)

    def test_a_trace_of_violating_rounds_is_chrome_trace_json(self) -> None:
        file = pathlib.Path(self.files, "trace.json")
        self.run_here("-m", "tokio-fs", "--stop-on-violation", "--trace", str(file), *self.STALLED)
        events = json.loads(file.read_text(encoding="utf-8"))["traceEvents"]
        self.assertTrue(any(event.get("ph") == "X" and event.get("name") == "fsync" for event in events))

    def test_flush_and_complete_modes_have_none(self) -> None:
        result = self.run_for_json(
            "-m", "tokio-fs+flush,blocking-pool,sync", "--strict", "-n", "20", "--stall", "write=2ms"
        )
        for mode in result["modes"]:
            self.assertEqual(mode["verdict"], "ok", mode["mode"])

    def test_a_stop_on_violation_ends_the_whole_comparison(self) -> None:
        result = self.run_for_json("-m", "tokio-fs,sync", "--stop-on-violation", *self.STALLED)
        self.assertEqual(result["modes"][0]["violations"]["count"], 1)


class Output(Case):
    """Where what goes, and how."""

    def test_json_on_standard_output_is_all_that_is_there(self) -> None:
        run = self.run_here("--json", "-", "-n", "30", "-m", "sync,tokio-fs", "--progress", "always")
        self.assertEqual(self.check_json(run.json)["modes"][0]["rounds"], 30)

    def test_json_in_a_file_does_not_replace_the_report(self) -> None:
        file = pathlib.Path(self.files, "a b.json")
        run = self.run_here("--json", str(file), "-n", "5", "-m", "sync")
        self.assertIn("Observation tokio-4796 Never 0 5", run.text)
        self.check_json(json.loads(file.read_text(encoding="utf-8")))
        file.write_text("x" * 1000000, encoding="utf-8")  # a longer one is replaced
        self.run_here("--json", str(file), "-n", "5", "-m", "sync")
        self.check_json(json.loads(file.read_text(encoding="utf-8")))

    def test_the_seed_is_printed_and_the_command_repeats_the_run(self) -> None:
        run = self.run_here("-n", "5", "-m", "sync")
        seed = find(r"\nSeed          (\d+)\n", run.text)
        command = find(r"\nRepeat with   (.*)\n", run.text)
        again = subprocess.run(
            ["sh", "-c", command], capture_output=True, text=True, timeout=PATIENCE, check=True
        )
        self.assertIn(f"\nSeed          {seed}\n", again.stdout)
        self.assertIn(f"\nRepeat with   {command}\n", again.stdout)
        self.assertEqual(shlex.split(command)[-2:], ["--seed", seed])

    def test_the_same_seed_runs_the_modes_in_the_same_order(self) -> None:
        def order(seed: int) -> list[str]:
            run = self.run_here(
                "-n",
                "60",
                "-m",
                "sync,blocking-pool,tokio-fs,tokio-fs+flush",
                "--seed",
                str(seed),
                "--log-level",
                "debug",
            )
            return re.findall(r"(\S+): \d+ rounds", run.complaint)

        first = order(7)
        self.assertGreater(len(first), 40)
        self.assertEqual(order(7), first)
        self.assertNotEqual(order(8), first)

    def test_without_a_terminal_there_is_no_progress_and_no_escape(self) -> None:
        run = self.run_here("-n", "500", "-m", "sync,blocking-pool")
        self.assertEqual(run.err, b"")
        self.assertNotIn(b"\x1b", run.out)

    def test_the_log_goes_to_standard_error(self) -> None:
        run = self.run_here("-n", "5", "-m", "sync", "--json", "-", "--log-level", "info")
        self.assertIn("sync: engine sync", run.complaint)
        self.check_json(run.json)

    def test_progress_always_tells_rate_and_eta(self) -> None:
        finished = self.run_interrupted()
        self.assertTrue(finished.err.endswith(b"\r\x1b[K"), finished.err)
        self.assert_nothing_left()

    def on_a_terminal(self, *arguments: str, **env: str) -> tuple[bytes, bytes]:
        """A run whose output and error are a terminal, ended once it has shown progress."""
        master, slave = pty.openpty()
        with open(master, "rb", buffering=0) as terminal:
            process = self.start(
                "--dir",
                self.dir,
                "--duration",
                "1h",
                "-m",
                "sync",
                *arguments,
                stdout=slave,
                stderr=slave,
                env={**os.environ, "NO_COLOR": "", **env},
            )
            os.close(slave)
            seen = self.read_until(terminal.fileno(), PROGRESS)
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(OSError):  # EIO: the other side is closed
                while part := terminal.read(65536):
                    seen += part
            process.wait(timeout=PATIENCE)
        self.assertEqual(process.returncode, 130)
        self.assert_nothing_left()
        progress, _, report = seen.rpartition(b"\r\x1b[K")
        return progress, report

    def test_on_a_terminal_progress_is_shown_and_cleared_and_the_report_has_color(self) -> None:
        progress, report = self.on_a_terminal()
        self.assertIn(b"\r\x1b[K", progress)
        self.assertTrue(re.search(PROGRESS, progress))
        self.assertFalse(re.search(PROGRESS, report))
        self.assertIn(b"\x1b[32mok", report)

    def test_no_color_and_its_variable_leave_the_color_out(self) -> None:
        ways: list[tuple[list[str], dict[str, str]]] = [(["--no-color"], {}), ([], {"NO_COLOR": "1"})]
        for arguments, env in ways:
            _, report = self.on_a_terminal(*arguments, **env)
            self.assertIn(b"Observation", report)
            self.assertNotIn(b"\x1b", report)

    def test_progress_never_is_silent_on_a_terminal(self) -> None:
        master, slave = pty.openpty()
        with open(master, "rb", buffering=0), open(slave, "wb", buffering=0):
            self.run_here("-n", "200", "-m", "sync", "--progress", "never", stderr=slave)
            ready, _, _ = select.select([master], [], [], 0)
            self.assertEqual(ready, [])

    def test_help_and_version(self) -> None:
        for option in ("-h", "--help"):
            run = self.run_program(option)
            self.assertEqual((run.status, run.err), (0, b""))
            self.assertLessEqual(len(run.text.splitlines()), 60)
            self.assertIn("--iterations", run.text)
        run = self.run_program("--version")
        self.assertEqual((run.status, run.err), (0, b""))
        self.assertRegex(run.text, r"^filemap-uring \d+\.\d+\.\d+\n$")

    def test_an_exploration_proves_and_finds_and_explains(self) -> None:
        run = self.run_program("tokio-4796", "--explore", "--mode", "blocking-pool,tokio-fs")
        self.assertEqual((run.status, run.err), (0, b""))
        self.assertIn(
            "blocking-pool: 1 schedule, 0 violate: the forbidden outcome cannot be reached", run.text
        )
        self.assertIn("tokio-fs: 5 schedules, 3 violate", run.text)
        self.assertIn("mended by  flush(w) before P0's notify(written)   0 of 1 schedule violates", run.text)
        self.assertIn(f"Replay  {self.program} tokio-4796 --mode tokio-fs --replay 2.2", run.text)
        strict = self.run_program("--explore", "--mode", "tokio-fs", "--strict", "--json", "-")
        self.assertEqual((strict.status, strict.err), (1, b""))
        result = self.check_exploration(json.loads(strict.text))
        self.assertEqual(result["tests"][0]["modes"][0]["result"]["violation"]["witness"], "2.2")
        self.assertEqual(result["exit_status"], 1)

    def pasted(self, text: str, heading: str) -> tuple[str, Finished]:
        """What a line of a report does that is pasted into a shell, which need not be a Bash."""
        line = re.search(rf"(?m)^{heading} +(.*)$", text)
        assert line is not None, text
        run = subprocess.run(["sh", "-c", line[1]], capture_output=True, timeout=PATIENCE, check=False)
        return line[1], Finished(run.returncode, run.stdout, run.stderr)

    def test_the_replay_line_repeats_what_was_found_in_a_file_with_all_options(self) -> None:
        self.need_ring()
        path = pathlib.Path(self.files, "it's a\té.litmus")
        path.write_bytes(self.run_program("--show", "tokio-4796").out)
        elsewhere = pathlib.Path(self.files, "the place")
        elsewhere.mkdir()
        kept = ["--dir", str(elsewhere), "--seed", "7", "--strict", "--model", "posix"]
        ring = ["--ops", "5.6", "--entries", "16"]
        modes = "tokio-fs,uring-write-behind"
        run = self.run_program(str(path), "--explore", "--mode", modes, *kept, *ring)
        self.assertEqual((run.status, run.err), (1, b""))
        for mode in modes.split(","):
            section = run.text.partition(f"\n{mode}: ")[2]
            command, again = self.pasted(section, "Replay")
            words = subprocess.check_output(["sh", "-c", f"printf '%s\\n' {command}"], text=True).splitlines()
            self.assertEqual(words[1], str(path))
            self.assertEqual(set(kept) - set(words), set())
            self.assertEqual(set(ring) & set(words), set(ring) if "uring" in mode else set())
            self.assertEqual((again.status, again.err), (1, b""), command)
            state = find(r"witness .*?   (P2:.*)", section)
            self.assertIn(f"\nState         {state}\n", again.text)

    def test_an_exploration_says_how_to_repeat_it(self) -> None:
        run = self.run_here("tokio-4796", "--samples", "9", "-m", "tokio-fs")
        command, again = self.pasted(run.text, "Repeat with")
        self.assertEqual(shlex.split(command)[-2], "--seed")
        self.assertEqual(again.status, 0)
        states = re.compile(r"(?m)^ +\d+ [*:]> .*$")
        self.assertEqual(states.findall(again.text), states.findall(run.text))

    def test_a_replay_is_always_the_same(self) -> None:
        for words, status in (("", 0), ("--strict", 1)):
            run = self.run_program("--mode", "tokio-fs", "--replay", "2.2", *words.split())
            self.assertEqual((run.status, run.err), (status, b""))
            self.assertIn("State         P2:st.size=0; P2:d=lorem[123];", run.text)
            self.assertIn("P0  append(w)             executed: 123", run.text)

    def test_every_test_that_is_listed_is_shown_and_valid(self) -> None:
        listed = self.run_program("--list")
        self.assertEqual((listed.status, listed.err), (0, b""))
        names = [line.split()[0] for line in listed.text.splitlines()]
        self.assertEqual(names[0], "tokio-4796")
        checked = self.run_program("--check", *names)
        self.assertEqual((checked.status, checked.err), (0, b""))
        self.assertEqual(checked.text.splitlines(), [f"{name}: ok" for name in names])
        shown = self.run_program("--show", "tokio-4796")
        self.assertEqual((shown.status, shown.err), (0, b""))
        path = pathlib.Path(self.dir) / "shown.litmus"
        path.write_bytes(shown.out)
        self.assertEqual(self.run_program("--check", str(path)).text, f"{path}: ok\n")
        path.unlink()

    def test_the_examples_of_the_reference_are_what_it_says(self) -> None:
        reference = (DOCS / "litmus-format.md").read_text(encoding="utf-8")
        examples = re.findall(r"^```litmus\n(.*?)^```$", reference, re.M | re.S)
        self.assertEqual(len(examples), 2)
        self.assertEqual(examples[0], self.run_program("--show", "tokio-4796").text)
        path = pathlib.Path(self.dir) / "message.litmus"
        for example in examples:
            path.write_text(example, encoding="ascii")
            self.assertEqual(self.run_program("--check", str(path)).text, f"{path}: ok\n")
        error = find(r"^```\n(message.litmus:.*?)^```$", reference, re.M | re.S)
        path.write_text(
            'F t "q"\n{ file f = ""; handle w = open f; }\n\n' + error.splitlines()[1].strip() + "\n",
            encoding="ascii",
        )
        self.assertEqual(self.run_program("--check", path.name, cwd=self.dir).complaint, error)
        path.unlink()

    def test_the_reference_names_every_verb_that_the_catalogue_uses(self) -> None:
        reference = (DOCS / "litmus-format.md").read_text(encoding="utf-8")
        names = [line.split()[0] for line in self.run_program("--list").text.splitlines()]
        verbs = set()
        for name in names:
            text = re.sub(r"^source .*$", "", self.run_program("--show", name).text, flags=re.M)
            verbs.update(re.findall(r"\b([a-z_]+)\(", text))
        self.assertIn("append", verbs)
        for verb in verbs:
            self.assertRegex(reference, rf"\| `{verb}\(", verb)

    def test_probe_says_what_the_ring_can_do(self) -> None:
        run = self.run_program("--probe")
        if run.status == 125:
            self.assertIn("cannot be used", run.text)
            self.assertIn("What to do", run.text)
        else:
            self.assertEqual((run.status, run.err), (0, b""))
            for heading in ("Linux ", "io_uring      available", "Features ", "Substituted ", "Operations "):
                self.assertRegex(run.text, f"(?m)^{re.escape(heading)}")

    def test_probe_below_a_ceiling_says_what_would_be_substituted(self) -> None:
        self.need_ring()
        run = self.run_program("--probe", "--ops", "5.4")
        self.assertEqual((run.status, run.err), (0, b""))
        self.assertRegex(run.text, r"(?m)^Ceiling +at most Linux 5\.4, ")
        self.assertRegex(run.text, r"(?m)^Features +none$")
        self.assertRegex(run.text, r"(?m)^Substituted .*READV and WRITEV for READ and WRITE; statx by")
        if "enforced by the kernel" in run.text:
            self.assertRegex(run.text, r"(?m)^Refused .*\bREAD WRITE\b.* ASYNC_CANCEL")

    def assert_lost_output_is_told(self, arguments: typing.Iterable[str], **popen: typing.Any) -> None:
        run = self.run_here("-n", "20", "-m", "sync", *arguments, expect=3, **popen)
        self.assert_one_line(run, "cannot write to standard output")

    def test_a_closed_standard_output_is_an_error(self) -> None:
        def close() -> None:
            default_signals()
            os.close(1)

        for arguments in ((), ("--json", "-")):
            self.assert_lost_output_is_told(arguments, stdout=None, preexec_fn=close)

    def test_a_full_standard_output_is_an_error(self) -> None:
        with open("/dev/full", "wb") as full:
            for arguments in ((), ("--json", "-")):
                self.assert_lost_output_is_told(arguments, stdout=full)

    def test_a_full_standard_output_is_advised_about_only_what_applies(self) -> None:
        kept = "; --json FILE keeps the results elsewhere"
        results = os.path.join(self.files, "r.json")
        run, explore = ("-n", "5", "-m", "sync"), ("--explore", "-m", "sync")
        for arguments, advice in (
            (("--list",), ""),
            (("--help",), ""),
            (("--version",), ""),
            (("--check", "tokio-4796"), ""),
            (("--show", "tokio-4796"), ""),
            (("--model-only", "tokio-4796", "-m", "sync"), ""),
            (("--dir", self.dir, "--replay", "1", "-m", "sync"), ""),
            (("--dir", self.dir, *run), kept),
            (("--dir", self.dir, *explore), kept),
            (("--dir", self.dir, *run, "--json", results), ""),
            (("--dir", self.dir, *explore, "--json", results), ""),
            (("--dir", self.dir, *run, "--json", "-"), "; name a file instead of -"),
        ):
            with self.subTest(arguments=arguments), open("/dev/full", "wb") as full:
                finished = self.run_program(*arguments, stdout=full)
                self.assertEqual(finished.status, 3)
                self.assertEqual(
                    finished.complaint,
                    f"filemap-uring: cannot write to standard output{advice}: No space left on device\n",
                )

    def test_a_reader_that_went_away_leaves_nothing_behind(self) -> None:
        for arguments in ((), ("--json", "-")):
            reader, writer = os.pipe()
            os.close(reader)
            with open(writer, "wb") as pipe:
                self.assert_lost_output_is_told(arguments, stdout=pipe)

    def test_results_in_files_survive_a_standard_output_that_fails(self) -> None:
        file = pathlib.Path(self.files, "r.json")
        with open("/dev/full", "wb") as full:
            self.assert_lost_output_is_told(("--json", str(file)), stdout=full)
        self.check_json(json.loads(file.read_text(encoding="utf-8")))

    def test_a_report_that_cannot_be_written_outweighs_no_verdict(self) -> None:
        strict = ["-m", "tokio-fs", *Violations.STALLED, "--stop-on-violation", "--strict"]
        with open("/dev/full", "wb") as full:
            run = self.run_here(*strict, expect=1, stdout=full)
            self.assert_one_line(run, "cannot write to standard output")
            self.run_here(*strict, "--json", "-", expect=1, stdout=full)
        self.run_here(*strict, "--json", "/dev/full", expect=1)
        self.run_here("-n", "5", "-m", "sync", "--json", "/dev/full", expect=3)

    def test_json_goes_through_a_fifo(self) -> None:
        fifo = pathlib.Path(self.files, "fifo")
        os.mkfifo(fifo)
        process = self.start("--dir", self.dir, "-n", "5", "-m", "sync", "--json", str(fifo))
        result = json.loads(fifo.read_text(encoding="utf-8"))
        self.assertEqual(result["modes"][0]["rounds"], 5)
        self.assertEqual(self.end_of(process).status, 0)

    def test_what_an_output_file_held_survives_a_write_that_fails(self) -> None:
        file = pathlib.Path(self.files, "r.json")
        file.write_text("precious", encoding="utf-8")
        arguments = ["-n", "5", "-m", "sync", "--json", str(file)]
        run = self.run_here(*arguments, expect=3, preexec_fn=limit(resource.RLIMIT_FSIZE, 1024))
        self.assert_one_line(run, str(file), "File too large")
        self.assertEqual(file.read_text(encoding="utf-8"), "precious")
        self.assertEqual(os.listdir(self.files), ["r.json"])

    def test_an_output_file_is_replaced_with_its_mode_and_behind_its_link(self) -> None:
        file, link = pathlib.Path(self.files, "r.json"), pathlib.Path(self.files, "link")
        file.write_text("old", encoding="utf-8")
        file.chmod(0o640)
        link.symlink_to(file)
        self.run_here("-n", "5", "-m", "sync", "--json", str(link))
        self.assertTrue(link.is_symlink())
        self.assertEqual(file.stat().st_mode & 0o777, 0o640)
        self.assertEqual(json.loads(file.read_text(encoding="utf-8"))["modes"][0]["rounds"], 5)
        self.assertEqual(sorted(os.listdir(self.files)), ["link", "r.json"])

    def test_no_file_of_a_round_becomes_a_closed_standard_stream(self) -> None:
        def close() -> None:
            default_signals()
            for fd in (0, 1, 2):
                os.close(fd)

        file = pathlib.Path(self.files, "r.json")
        self.run_here(
            "-n",
            "300",
            "-m",
            "sync",
            "--json",
            str(file),
            "--progress",
            "always",
            "--log-level",
            "debug",
            expect=3,
            stdin=None,
            stdout=None,
            stderr=None,
            preexec_fn=close,
        )
        result = self.check_json(json.loads(file.read_text(encoding="utf-8")))
        self.assertEqual(result["modes"][0]["verdict"], "ok")


class Json(Case):
    """What --json writes is what the schemas in docs describe."""

    def catalogue(self) -> list[str]:
        return [line.split()[0] for line in self.run_program("--list").text.splitlines()]

    def check(self, result: bytes) -> None:
        checker = subprocess.run(
            [sys.executable, str(DOCS.parent / "src/report/check_schema.py"), "-"],
            input=result,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        if checker.returncode == 77:
            self.skipTest("needs python3-jsonschema")
        self.assertEqual((checker.stdout, checker.returncode), (b"", 0))

    def test_of_every_test_of_the_catalogue(self) -> None:
        modes = "sync,blocking-pool,tokio-fs" + (",uring" if ring_is_available() else "")
        names = self.catalogue()
        run = self.run_here(*names, "-n", "10", "-m", modes, "--json", "-", expect=None)
        self.assertEqual([each["test"]["name"] for each in run.json["runs"]], names)
        self.check(run.out)

    def test_of_explorations_of_the_catalogue(self) -> None:
        names = self.catalogue()
        run = self.run_here(*names, "--samples", "2", "-m", "tokio-fs", "--json", "-", expect=None)
        self.assertEqual([each["name"] for each in run.json["tests"]], names)
        self.check(run.out)
        self.check(self.run_here("--explore", "-m", "sync,tokio-fs", "--json", "-").out)


class BadInput(Case):
    """One line that says what, why and what to do, and nothing else."""

    USAGE = [
        ["--nonsense"],
        ["nonsense"],
        ["-x"],
        ["-n"],
        ["-n", "0"],
        ["-n", "x"],
        ["-n", "-1"],
        ["--duration", "0"],
        ["--duration", "x"],
        ["--round-timeout", "0"],
        ["--mode", "x"],
        ["--mode", "sync,sync"],
        ["--mode"],
        ["--compare", "--mode", "sync"],
        ["--compare", "--flush"],
        ["--size", "0"],
        ["--size", "2G"],
        ["--size", "1x"],
        ["--size", "1", "--size", "2"],
        ["--writes", "0"],
        ["--size", "1M", "--writes", "10000"],
        ["--handles", "x"],
        ["--sync", "x"],
        ["--direct", "--size", "123"],
        ["--stall", "x"],
        ["--stall", "write=2"],
        ["--stall", "write=2ms@2"],
        ["--dir", ""],
        ["--lanes", "0"],
        ["--lanes", "1000000"],
        ["--lanes", "65536", "--size", "1M"],
        ["-m", "sync", "--pool-threads", "1"],
        ["--pool-threads", "1"],
        ["-m", "tokio-fs", "--pool-threads", "0"],
        ["--entries", "0"],
        ["-m", "sync", "--entries", "8"],
        ["-m", "sync", "--sqpoll"],
        ["-m", "sync", "--iosqe-async"],
        ["-m", "sync", "--no-defer-taskrun"],
        ["-m", "sync", "--ops", "5.4"],
        ["--ops", "5.3"],
        ["--ops", "x"],
        ["--seed", "x"],
        ["--trace", "-"],
        ["--json", ""],
        ["--json", "x", "--trace", "x"],
        ["--progress", "x"],
        ["--log-level", "x"],
        ["--mode", "two\nlines"],
        ["\x1b[31m"],
        ["tokio-4797"],
        ["missing.litmus"],
        ["--check"],
        ["--show", "x"],
        ["tokio-4796", "--size", "1"],
    ]

    def test_usage_errors_exit_2_with_one_line(self) -> None:
        for arguments in self.USAGE:
            with self.subTest(arguments=arguments):
                run = self.run_program(*arguments, cwd=self.dir)
                self.assertEqual(run.status, 2)
                self.assertEqual(run.out, b"")
                self.assert_one_line(run, "--help")
                self.assert_nothing_left()

    def test_a_witness_that_does_not_fit_is_a_usage_error(self) -> None:
        for mode, witness in (("sync", "2"), ("tokio-fs", "3")):
            with self.subTest(mode=mode):
                run = self.run_program("--mode", mode, "--replay", witness, cwd=self.dir)
                self.assertEqual(run.status, 2)
                self.assert_one_line(run, f"--replay {witness}:")
                self.assert_nothing_left()

    def test_a_test_that_is_not_valid_is_shown_with_the_place(self) -> None:
        bad = pathlib.Path(self.dir) / "bad.litmus"
        bad.write_text('F bad\n"a question" {\n  file f = "";\n  handle w = open g;\n}\n', encoding="ascii")
        message = (
            f"{bad}:4:19: there is no file 'g'; there is f\n"
            "    handle w = open g;\n"
            "                    ^\n"
        )
        for words in ("--check", ""):
            run = self.run_program(*words.split(), str(bad))
            self.assertEqual((run.status, run.out, run.complaint), (2, b"", message))
        run = self.run_program("--check", str(bad), "tokio-4796", "x")  # all are checked
        self.assertEqual((run.status, run.text), (2, "tokio-4796: ok\n"))
        self.assertEqual(len(run.complaint.splitlines()), 4)
        bad.unlink()

    def assert_environment_error(self, directory: str, *parts: str, **popen: typing.Any) -> None:
        run = self.run_program("--dir", directory, "-n", "5", "-m", "sync", **popen)
        self.assertEqual(run.status, 3)
        self.assertEqual(run.out, b"")
        self.assert_one_line(run, directory, *parts)

    def test_a_missing_directory(self) -> None:
        self.assert_environment_error(self.dir + "/missing", "make it first", "No such file or directory")

    def test_a_file_as_directory(self) -> None:
        file = pathlib.Path(self.files, "file")
        file.touch()
        self.assert_environment_error(str(file), "name a directory", "Not a directory")

    def test_a_directory_that_takes_no_files(self) -> None:
        self.assert_environment_error("/proc", "choose another")

    def test_a_directory_of_somebody_else(self) -> None:
        os.chmod(self.dir, 0o555)
        try:
            popen = {}
            if os.geteuid() == 0:
                popen["user"] = 65534
                try:
                    self.assertEqual(self.run_program("--version", **popen).status, 0)
                except (PermissionError, AssertionError):
                    self.skipTest("another user cannot run the program here")
            self.assert_environment_error(self.dir, "choose another", "Permission denied", **popen)
        finally:
            os.chmod(self.dir, 0o755)
        self.assert_nothing_left()

    def test_output_files_that_cannot_be_written_are_found_before_the_run(self) -> None:
        for option in ("--json", "--trace"):
            for path, why, advice in (
                (self.files + "/missing/x", "No such file", "make its directory first"),
                (self.files, "directory", "choose another file"),
            ):
                run = self.run_here(option, path, "--duration", "1h", "-m", "sync", expect=3)
                self.assertEqual(run.out, b"")
                self.assert_one_line(run, path, why, advice)

    def test_an_output_file_is_not_made_for_a_run_that_does_not_begin(self) -> None:
        file = pathlib.Path(self.files, "r.json")
        run = self.run_program("--dir", self.dir + "/missing", "--json", str(file))
        self.assertEqual(run.status, 3)
        self.assertFalse(file.exists())

    def test_what_an_output_file_held_survives_a_run_that_does_not_begin(self) -> None:
        file = pathlib.Path(self.files, "r.json")
        file.write_text("precious", encoding="utf-8")
        self.run_program("--dir", self.dir + "/missing", "--json", str(file))
        self.assertEqual(file.read_text(encoding="utf-8"), "precious")


class BadDays(Case):
    """What the machine refuses, in mid-run or before."""

    def in_a_mount(self, kind: str, options: str, *arguments: str) -> Finished:
        """Runs it on a small filesystem of its own; what is left there is the last line of the output."""
        reason = can_mount(kind)
        if reason:
            self.skipTest(reason)
        script = (
            'mount -t "$1" -o "$2" none "$3" || exit 99; dir=$3; shift 3; "$@"; status=$?; '
            'echo "left: $(ls -A "$dir")"; exit $status'
        )
        process = subprocess.Popen(
            [
                "unshare",
                "-rm",
                "sh",
                "-c",
                script,
                "sh",
                kind,
                options,
                self.dir,
                self.program,
                "--dir",
                self.dir,
                *arguments,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=default_signals,
        )
        self.addCleanup(self.reap, process)
        finished = self.end_of(process)
        finished.out, _, left = finished.out.rpartition(b"left: ")
        self.assertEqual(left, b"\n")
        return finished

    def assert_full(self, run: Finished, *parts: str) -> None:
        self.assertEqual(run.status, 3, run.complaint)
        self.assert_one_line(run, *parts, self.dir, "free some space or choose another --dir")

    def test_a_full_disk_in_mid_run(self) -> None:
        modes = ["blocking-pool", "tokio-fs", "tokio-fs+flush", "sync"]
        if ring_is_available():
            modes += ["uring", "uring-write-behind"]
        for mode in modes:
            with self.subTest(mode=mode):
                run = self.in_a_mount("tmpfs", "size=64k", "-n", "500", "-m", mode)
                self.assert_full(run, mode, "No space left on device")
                self.assertRegex(run.text, r"\n +[1-9]\d* :> ok\n +1 \*> error \(\w+: ENOSPC\)\n")
                self.assertIn("\nVerdict       error: an operation failed\n", run.text)

    def test_a_disk_that_takes_only_a_part_of_a_write(self) -> None:
        run = self.in_a_mount("tmpfs", "size=64k", "-n", "500", "-m", "sync", "--size", "10000")
        self.assertEqual(run.status, 3)
        self.assert_one_line(run, "fewer bytes than it was given", self.dir, "full")
        self.assertIn("*> error (append: short)", run.text)

    def test_a_write_that_takes_only_a_part_is_told_alike_in_a_run_and_in_a_search(self) -> None:
        path = self.write_test_of("big", 'file f = ""; handle w = open f;', "P0 { write(w, 0, x[40k]); }")
        why = f"write failed in {self.dir}: it took fewer bytes than it was given; is the filesystem full?\n"
        for what in (["-n", "5"], ["--explore"], ["--replay", "1"]):
            run = self.run_here(
                *(path, "-m", "sync", *what), expect=3, preexec_fn=limit(resource.RLIMIT_FSIZE, 1024)
            )
            mode = "" if what[0] == "--replay" else "sync: "
            self.assertEqual(run.complaint, f"filemap-uring: {mode}{why}")

    def test_a_disk_without_inodes(self) -> None:
        run = self.in_a_mount("tmpfs", "nr_inodes=20", "-n", "500", "-m", "sync")
        self.assert_full(run, "No space left on device")

    def test_a_full_disk_before_the_first_round(self) -> None:
        for inodes in ("1", "2"):
            run = self.in_a_mount("tmpfs", f"nr_inodes={inodes}", "-n", "5", "-m", "sync")
            self.assertEqual(run.status, 3)
            self.assert_one_line(run, self.dir, "No space left on device", "free some space")

    def test_a_read_only_filesystem(self) -> None:
        run = self.in_a_mount("tmpfs", "ro", "-n", "5", "-m", "sync")
        self.assertEqual(run.status, 3)
        self.assert_one_line(run, self.dir, "Read-only file system", "choose another")

    def test_a_filesystem_without_direct_io(self) -> None:
        run = self.in_a_mount("ramfs", "mode=0755", "-n", "5", "-m", "sync,tokio-fs", "--direct")
        if run.status == 0:
            self.skipTest("ramfs takes O_DIRECT on this kernel")
        self.assertEqual(run.status, 125, run.complaint)
        self.assert_one_line(
            run, self.dir, "does not take O_DIRECT", "choose another --dir or leave --direct out"
        )

    def test_a_filesystem_without_an_operation(self) -> None:
        path = self.write_test_of(
            "punch", "file f = old[4k]; handle w = open f;", "P0 { n = punch(w, 0, 4k); }"
        )
        for what in (["-n", "5"], ["--explore"], ["--replay", "1"]):
            with self.subTest(what=what[0]):
                run = self.in_a_mount("ramfs", "mode=0755", path, "-m", "sync", *what)
                self.assertEqual(run.status, 125, run.complaint)
                self.assertIn(
                    "punch: Operation not supported on the filesystem of ", run.text + run.complaint
                )

    def test_a_limit_on_file_sizes(self) -> None:
        for mode in ("sync", "tokio-fs"):
            run = self.run_here(
                "-n", "5", "-m", mode, "--size", "2k", expect=3, preexec_fn=limit(resource.RLIMIT_FSIZE, 1024)
            )
            self.assertIn("error (append: ", run.text)

    def test_a_limit_on_processes_that_leaves_the_ring_no_thread(self) -> None:
        self.need_ring()
        self.need_no_sanitizer("a sanitizer looks for leaks in a thread of its own")
        lower = limit(resource.RLIMIT_NPROC, 1)
        nobody = 65534

        def as_somebody_with_one_process() -> None:
            if os.geteuid() == 0:  # who has no such limit
                os.setgroups([])
                os.setgid(nobody)
                os.setuid(nobody)
            lower()

        os.chmod(self.dir, 0o777)
        try:
            run = self.run_here(
                "-n", "5", "-m", "uring", expect=None, preexec_fn=as_somebody_with_one_process
            )
        except PermissionError:
            self.skipTest("nobody else may run the program")
        if run.status == 0:
            self.skipTest("the ring needs no thread here")
        self.assertEqual(run.status, 3, run.complaint)
        self.assert_one_line(run, "ulimit -u")

    def test_few_open_files_are_enough_for_few_lanes(self) -> None:
        result = self.run_for_json(
            "-n", "300", "-m", "sync", "--lanes", "8", preexec_fn=limit(resource.RLIMIT_NOFILE, 256)
        )
        self.assertEqual(result["modes"][0]["verdict"], "ok")

    def test_few_open_files_are_shared_by_the_modes(self) -> None:
        modes = COMPARED if ring_is_available() else ["sync", "blocking-pool", "tokio-fs"]
        for more in ("", "--reuse-file"):
            result = self.run_for_json(
                "-n",
                "60",
                "-m",
                ",".join(modes),
                "--lanes",
                "6",
                *more.split(),
                preexec_fn=limit(resource.RLIMIT_NOFILE, 512),
            )
            for mode in result["modes"]:
                self.assertEqual(mode["rounds"], 60)

    def test_too_few_open_files_for_many_lanes(self) -> None:
        for arguments in (
            ["-m", "sync", "--lanes", "64"],
            ["-m", "sync", "--lanes", "5000"],
            ["-m", "sync", "--lanes", "64", "--reuse-file"],
            ["-m", "sync,tokio-fs,blocking-pool", "--lanes", "30"],
        ):
            run = self.run_here(
                "-n", "500", *arguments, expect=3, preexec_fn=limit(resource.RLIMIT_NOFILE, 256)
            )
            self.assert_one_line(run, "--lanes", "RLIMIT_NOFILE", "ulimit -n")

    def test_what_fails_in_an_exploration_ends_its_mode_and_nothing_else(self) -> None:
        big = self.write_test_of("big", 'file f = ""; handle w = open f;', "P0 { write(w, 0, x[40k]); }")
        run = self.run_here(
            *(big, "tokio-4796", "-m", "sync,tokio-fs", "--explore", "--json", "-"),
            expect=3,
            preexec_fn=limit(resource.RLIMIT_FSIZE, 1024),
        )
        failed, other = self.check_exploration(run.json)["tests"]
        lines = run.complaint.splitlines()
        self.assertEqual(len(lines), 2, run.complaint)
        for line, mode in zip(lines, failed["modes"]):
            self.assertEqual(line, f"filemap-uring: big: {mode['mode']}: {mode['failure']}")
            self.assertIsNone(mode["result"])
        self.assertEqual(run.json["failure"], f"big: sync: {failed['modes'][0]['failure']}")
        self.assertEqual([mode["result"]["complete"] for mode in other["modes"]], [True, True])
        run = self.run_here(
            *(big, "-m", "sync", "--explore"), expect=3, preexec_fn=limit(resource.RLIMIT_FSIZE, 1024)
        )
        self.assertIn(f"\nsync: error: {run.complaint.removeprefix('filemap-uring: sync: ')}", run.text)

    def test_a_result_that_the_condition_names_is_judged_alike_in_a_run_and_in_a_search(self) -> None:
        declared = ('file f = ""; handle w = open f;', "P0 { n = write(w, 0, x[40k]); }")
        asked = "P0:n.res = 20000"
        for condition, status in ((f'exists ({asked} /\\ f = "")', 0), (f"exists ({asked})", 1)):
            path = self.write_test_of("short", *declared, condition)
            for what in (["-n", "5"], ["--explore"], ["--replay", "1"]):
                with self.subTest(condition=condition, what=what[0]):
                    run = self.run_here(
                        *(path, "-m", "sync", *what),
                        expect=status,
                        preexec_fn=limit(resource.RLIMIT_FSIZE, 20000),
                    )
                    self.assertNotIn("not allowed", run.text)

    def test_too_few_open_files_for_an_exploration(self) -> None:
        self.need_no_sanitizer("a sanitizer looks at memory through descriptors of its own")
        run = self.run_here("--explore", "-m", "sync", expect=3, preexec_fn=limit(resource.RLIMIT_NOFILE, 8))
        self.assert_one_line(run, "ulimit -n")

    def test_no_memory_may_be_locked(self) -> None:
        run = self.run_here(
            "-n", "50", "-m", "uring,sync", expect=None, preexec_fn=limit(resource.RLIMIT_MEMLOCK, 0)
        )
        if run.status != 0:  # before 5.12, or no ring at all
            self.assertIn(run.status, (3, 125))
            self.assertIn("RLIMIT_MEMLOCK", run.complaint + run.text)

    def test_a_filtered_io_uring_exits_125_and_says_why(self) -> None:
        for error in (errno.EPERM, errno.ENOSYS):
            with self.subTest(error=errno.errorcode[error]):
                run = self.run_here("-n", "5", expect=125, preexec_fn=refuse_io_uring(error))
                self.assertRegex(run.text, r"\nVerdict       cannot run: \S.*io_uring.*\n")
                self.assertNotIn("Observation", run.text)

    def test_a_filtered_io_uring_does_not_keep_the_other_modes_from_running(self) -> None:
        for error in (errno.EPERM, errno.ENOSYS):
            result = self.run_for_json("-n", "30", "--compare", expect=125, preexec_fn=refuse_io_uring(error))
            self.assertFalse(result["ring"]["available"])
            self.assertTrue(result["ring"]["why"])
            self.assertTrue(result["ring"]["advice"])
            for mode in result["modes"]:
                if "uring" in mode["mode"]:
                    self.assertEqual(mode["verdict"], "cannot-run")
                    self.assertTrue(mode["cannot_run"])
                    self.assertEqual(mode["rounds"], 0)
                else:
                    self.assertNotEqual(mode["verdict"], "cannot-run")
                    self.assertEqual(mode["rounds"], 30)

    def test_a_filtered_io_uring_is_explained_by_the_probe(self) -> None:
        run = self.run_program("--probe", preexec_fn=refuse_io_uring(errno.EPERM))
        self.assertEqual(run.status, 125)
        self.assertIn("cannot be used", run.text)
        self.assertIn("What to do", run.text)

    def test_an_engine_that_fails_is_a_result_and_keeps_no_other_mode_from_running(self) -> None:
        if not ring_is_available():
            self.skipTest("there is no ring")
        for error in (errno.ENOMEM, errno.EIO):
            result = self.run_for_json(
                "-n", "5", "-m", "uring,sync", expect=None, preexec_fn=refuse_io_uring(error, IO_URING_ENTER)
            )
            self.assertIn(result["exit_status"], (3, 125))  # 125: found before the first round
            self.assertIn("uring", result["failure"]["message"] if result["failure"] else "uring")
            self.assertIn(result["modes"][0]["verdict"], ("error", "cannot-run"))
            self.assertEqual(result["modes"][1]["verdict"], "ok")
            self.assertEqual(result["modes"][1]["rounds"], 5)

    def write_test(self, file: str, name: str, handles: int = 1) -> str:
        """A litmus test that has so many handles; its path."""
        path = pathlib.Path(self.files, file)
        opened = "".join(f"  handle h{i} = open f;\n" for i in range(handles))
        path.write_text(
            f'F {name}\n"is it appended?"\n{{\n  file f = "";\n{opened}}}\n'
            "P0 { n = append(h0, x[10]); }\nforbidden (P0:n.res != 10)\n",
            encoding="ascii",
        )
        return str(path)

    def test_two_tests_may_have_one_name(self) -> None:
        tests = [self.write_test("a.litmus", "same"), self.write_test("b.litmus", "same")]
        result = self.run_here("-n", "5", "-m", "sync", "--json", "-", *tests).json
        self.assertEqual([run["modes"][0]["rounds"] for run in result["runs"]], [5, 5])

    def test_a_test_that_cannot_begin_loses_no_result_of_another(self) -> None:
        few, many = self.write_test("few.litmus", "few"), self.write_test("many.litmus", "many", 8)
        last = self.write_test("last.litmus", "last")
        arguments = ["-n", "40", "-m", "sync", "--lanes", "20", few, many, last]
        failing: dict[str, typing.Any] = {"expect": 3, "preexec_fn": limit(resource.RLIMIT_NOFILE, 200)}
        run = self.run_here("--json", "-", *arguments, **failing)
        self.assert_one_line(run, "many: sync: ", "RLIMIT_NOFILE", "use fewer --lanes")
        self.assertEqual([one["modes"][0]["rounds"] for one in run.json["runs"]], [40, 0, 40])
        self.assertEqual([one["modes"][0]["verdict"] for one in run.json["runs"]], ["ok", "error", "ok"])
        run = self.run_here(*arguments, **failing)
        self.assertIn("\nVerdict       error: 20 lanes need about ", run.text)

    def test_a_directory_that_cannot_be_removed_is_told(self) -> None:
        reason = can_mount("tmpfs")
        if reason:
            self.skipTest(reason)
        script = (
            '"$@" & run=$!; dir=$2; shift $#; '
            'until set -- "$dir"/*/*; [ -e "$1" ]; do kill -0 $run || exit 98; done; '
            'mkdir "${1%/*}/kept" && mount -t tmpfs none "${1%/*}/kept" || exit 99; '
            "kill -TERM $run; wait $run"
        )
        command = [self.program, "--dir", self.dir, "-m", "sync", "--duration", "1h"]
        process = subprocess.Popen(
            ["unshare", "-rm", "sh", "-c", script.replace("$2", "$3"), "sh", *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=default_signals,
        )
        self.addCleanup(self.reap, process)
        finished = self.end_of(process)
        self.assertEqual(finished.status, 3, finished.complaint)
        self.assert_one_line(finished, "cannot remove", self.dir, "busy")
        self.assertIn("\nInterrupted: ", finished.text)

    def test_a_round_that_hangs_exits_4_with_what_was_gathered(self) -> None:
        modes = ["blocking-pool", "tokio-fs", "tokio-fs+flush"]
        if ring_is_available():
            modes += ["uring", "uring-write-behind"]
        for mode in modes:
            with self.subTest(mode=mode):
                run = self.run_here(
                    "-m", mode, "--stall", "write=1h", "--round-timeout", "200ms", "--json", "-", expect=4
                )
                self.assert_one_line(run, mode, "within 200 ms", "raise --round-timeout")
                result = self.check_json(run.json)
                self.assertEqual(result["modes"][0]["observation"]["good"], 0)
                self.assertEqual(result["modes"][0]["verdict"], "hang")
                self.assertEqual(result["modes"][0]["histogram"][-1]["outcome"], "hang")
        run = self.run_here(
            "-m",
            "tokio-fs",
            "--stall",
            "write=1h@0.2",
            "--round-timeout",
            "200ms",
            "--lanes",
            "3",
            "--seed",
            "1",
            expect=4,
        )
        self.assertIn("Verdict       hang: ", run.text)


class Interrupts(Case):
    """Ctrl-C and worse."""

    def test_an_interrupt_prints_what_was_gathered_and_exits_130(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGXCPU):
            with self.subTest(signal=signal.Signals(number).name):
                process = self.start(
                    "--dir",
                    self.dir,
                    "--duration",
                    "1h",
                    "-m",
                    "sync,tokio-fs",
                    "--progress",
                    "always",
                    "--json",
                    "-",
                )
                self.read_until(stderr_of(process), PROGRESS)
                self.assertIsNotNone(self.work_directory())
                process.send_signal(number)
                finished = self.end_of(process)
                self.assertEqual(finished.status, 130)
                result = self.check_json(finished.json)
                self.assertTrue(result["interrupted"])
                self.assertEqual(result["exit_status"], 130)
                self.assertGreater(sum(mode["rounds"] for mode in result["modes"]), 0)
                self.assert_nothing_left()

    def test_an_interrupt_is_told_in_the_report(self) -> None:
        finished = self.run_interrupted()
        self.assertIn("\nObservation tokio-4796 Never 0 ", finished.text)
        self.assertIn("\nInterrupted: these are the rounds until then.\n", finished.text)
        self.assert_nothing_left()

    @staticmethod
    def is_pending(process: subprocess.Popen[bytes], number: int) -> bool:
        text = pathlib.Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
        masks = re.findall(r"(?:SigPnd|ShdPnd):\s*([0-9a-f]+)", text)
        return any(int(mask, 16) >> (number - 1) & 1 for mask in masks)

    @staticmethod
    def is_asleep(process: subprocess.Popen[bytes]) -> bool:
        """Whether its main thread is in an interruptible sleep."""
        text = pathlib.Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8")
        return text.rsplit(")", 1)[1].split()[0] == "S"

    def test_an_interrupt_is_obeyed_while_a_round_does_not_end(self) -> None:
        modes = ["tokio-fs", "blocking-pool"] + (["uring"] if ring_is_available() else [])
        for mode in modes:
            with self.subTest(mode=mode):
                process = self.start(
                    "--dir", self.dir, "-m", mode, "--stall", "write=1h", "--round-timeout", "2h"
                )
                eventually(self.files_are_there)
                process.send_signal(signal.SIGINT)
                finished = self.end_of(process)
                self.assertEqual(finished.status, 130)
                self.assertIn("no rounds: interrupted before the first", finished.text)
                self.assert_nothing_left()

    def test_an_interrupt_is_obeyed_by_the_model_of_a_search_and_of_a_replay(self) -> None:
        processes = " ".join(
            f"P{i} {{ append(w, a{i}[10]); append(w, b{i}[10]); d{i} = read(w, 0, 200); }}" for i in range(5)
        )
        path = self.write_test_of(
            "large", 'file f = ""; handle w = open f;', processes, 'exists (P0:d0 = "")'
        )
        for what in (["--explore"], ["--replay", "1"]):
            with self.subTest(what=what[0]):
                process = self.start("--dir", self.dir, path, "-m", "blocking-pool", *what)
                eventually(lambda: list(pathlib.Path(self.dir).glob("*/schedules.*")))
                process.send_signal(signal.SIGINT)
                begin = time.monotonic()
                finished = self.end_of(process)
                self.assertLess(time.monotonic() - begin, 10)
                self.assertEqual((finished.status, finished.complaint), (130, ""))
                self.assertIn("nterrupted", finished.text)
                self.assert_nothing_left()

    def test_a_second_interrupt_exits_at_once(self) -> None:
        # pylint: disable=cell-var-from-loop  # they are called before the next one begins
        modes = ["tokio-fs", "sync"] + (["uring"] if ring_is_available() else [])
        for mode in modes:
            with self.subTest(mode=mode):
                process = self.start(
                    "--dir", self.dir, "-m", mode, "--stall", "write=1h", "--round-timeout", "2h"
                )
                eventually(self.files_are_there)
                eventually(lambda: self.is_asleep(process))  # in the stall: nothing else sleeps
                process.send_signal(signal.SIGINT)
                eventually(lambda: not self.is_pending(process, signal.SIGINT))
                self.assertIsNone(process.poll())

                def second_one_ends_it() -> bool:  # a sanitizer may still hold the first and merge the two
                    process.send_signal(signal.SIGINT)
                    return process.poll() is not None

                eventually(second_one_ends_it)
                finished = self.end_of(process)
                self.assertEqual(finished.status, 130)
                self.assertEqual(finished.out, b"")
                self.assert_nothing_left()

    def test_an_ignored_interrupt_stays_ignored(self) -> None:
        def ignore() -> None:
            default_signals()
            signal.signal(signal.SIGINT, signal.SIG_IGN)

        process = self.start(
            "--dir", self.dir, "--duration", "1h", "-m", "sync", "--progress", "always", preexec_fn=ignore
        )
        self.read_until(stderr_of(process), PROGRESS)
        process.send_signal(signal.SIGINT)
        self.read_until(stderr_of(process), PROGRESS)  # it goes on
        process.send_signal(signal.SIGTERM)
        self.assertEqual(self.end_of(process).status, 130)
        self.assert_nothing_left()

    def test_what_a_killed_run_left_is_not_touched_by_the_next(self) -> None:
        process = self.start("--dir", self.dir, "--duration", "1h", "-m", "sync")
        eventually(self.files_are_there)
        process.kill()
        self.assertEqual(self.end_of(process).status, -signal.SIGKILL)
        left = self.work_directory()
        assert left is not None
        self.assertEqual(os.listdir(self.dir), [left.name])

        def contents(left: pathlib.Path) -> list[tuple[str, int]]:
            return sorted((str(path), path.stat().st_mtime_ns) for path in left.rglob("*"))

        before = contents(left)
        self.assertTrue(before)
        self.assertEqual(self.run_program("--dir", self.dir, "-n", "5", "-m", "sync").status, 0)
        self.assertEqual(os.listdir(self.dir), [left.name])
        self.assertEqual(contents(left), before)


if __name__ == "__main__":
    sys.exit(main(__doc__))
