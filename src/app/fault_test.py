#!/usr/bin/env python3
"""Makes the system calls of the real program fail, one at a time, and checks that no fault becomes a verdict.

    src/app/fault_test.py PROGRAM [--all] [NAME…]      NAME: only the tests that have it in their name

strace(1) injects the faults: the n-th call of a kind fails in each thread that comes so far, for n = 1, 2, … until
no call is left to fail. That is thousands of runs; without --all it is a sample of them, drawn with a seed that is
printed by a test that fails and taken from $FILEMAP_FAULT_SEED. Prints TAP.

A run that a fault was put into may say that the environment failed, or that something cannot be run, or it may
have coped. It never says that something forbidden was seen (1), never ends by a signal or a hang, never says that
all is well with rounds missing, and leaves no directory behind without a word about it.
"""

from __future__ import annotations

import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import typing

from command_line import PATIENCE, Case, Finished, default_signals, main, ring_is_available

ROUNDS = 3
# Of a system call and errno, so many runs of each command, but with --all.
SAMPLE = {"run": 4, "explore": 2, "replay": 1}
SEED = int(os.environ.get("FILEMAP_FAULT_SEED", "1"))

# The errnos that a call can fail with where nothing is wrong but the machine. EINTR is among them only where the
# program waits, as no other call here is interrupted.
FAULTS = {
    "openat": ["EMFILE", "ENOSPC", "EIO", "ENOMEM"],
    "newfstatat": ["EIO", "ENOMEM"],
    "fstat": ["EIO", "ENOMEM"],
    "statx": ["EIO", "ENOMEM"],
    "fcntl": ["EMFILE"],
    "read": ["EIO"],
    "pread64": ["EIO"],
    "readv": ["EIO"],
    "preadv": ["EIO"],
    "preadv2": ["EIO"],
    "write": ["ENOSPC", "EIO"],
    "pwrite64": ["ENOSPC", "EIO"],
    "writev": ["ENOSPC", "EIO"],
    "pwritev": ["ENOSPC", "EIO"],
    "pwritev2": ["ENOSPC", "EIO"],
    "fsync": ["EIO", "ENOSPC"],
    "fdatasync": ["EIO", "ENOSPC"],
    "ftruncate": ["EIO", "ENOSPC"],
    "getdents64": ["EIO", "ENOMEM"],
    "mkdir": ["ENOSPC", "EIO"],
    "mkdirat": ["ENOSPC", "EIO"],
    "rename": ["EIO", "ENOSPC"],
    "renameat": ["EIO", "ENOSPC"],
    "renameat2": ["EIO", "ENOSPC"],
    "rmdir": ["EIO"],
    "unlink": ["EIO"],
    "unlinkat": ["EIO"],
    "io_uring_setup": ["ENOMEM", "EMFILE", "EPERM"],
    "io_uring_register": ["ENOMEM", "EINVAL"],
    "io_uring_enter": ["ENOMEM", "EINTR", "EAGAIN"],
    "eventfd2": ["EMFILE", "ENOMEM"],
    "timerfd_create": ["EMFILE", "ENOMEM"],
    "poll": ["EINTR", "ENOMEM"],
    "ppoll": ["EINTR", "ENOMEM"],
    "clone3": ["EAGAIN", "ENOMEM"],
    "mmap": ["ENOMEM"],
    "mprotect": ["ENOMEM"],
}
# What the loader and the C++ library do before main cannot be survived; main begins with this.
MAIN = re.compile(r"rt_sigaction\(SIGPIPE, {sa_handler=SIG_IGN")
CALL = re.compile(r"^(?:(\d+) +)?(\w+)\(")


class Fault(typing.NamedTuple):
    call: str
    error: str
    nth: int

    @property
    def inject(self) -> str:
        return f"inject={self.call}:error={self.error}:when={self.nth}"


def why_not() -> str:
    """Why no faults can be injected here; empty if they can."""
    if shutil.which("strace") is None:
        return "there is no strace (tools/setup --tests installs it)"
    tried = subprocess.run(
        ["strace", "-o", "/dev/null", "true"],
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return "" if tried.returncode == 0 else f"strace cannot be used here: {tried.stderr.strip()[:200]}"


class Faults(Case):
    """Each test injects faults into one system call."""

    everything = False

    def setUp(self) -> None:
        if reason := why_not():
            self.skipTest(reason)
        super().setUp()
        self.log = os.path.join(self.files, "strace")
        modes = ["sync", "blocking-pool", "tokio-fs+flush", *(["uring"] if ring_is_available() else [])]
        self.modes = modes
        self.report = os.path.join(self.files, "result.json")
        run = ["--iterations", str(ROUNDS), "--pool-threads", "2", "--progress", "never"]
        to_file = ["--seed", "1", "--json", self.report]
        self.commands = {
            "run": ["tokio-4796", "atomic-replace", "--mode", ",".join(modes), *run, *to_file],
            "explore": ["tokio-4796", "--mode", f"tokio-fs,{modes[-1]}", "--explore", *to_file],
            "replay": ["tokio-4796", "--mode", modes[-1], "--replay", "1"],
        }

    def traced(self, command: str, *expressions: str) -> Finished:
        """A run of the program below strace."""
        pathlib.Path(self.report).unlink(missing_ok=True)
        options = [word for expression in expressions for word in ("-e", expression)]
        words = ["strace", "-f", "-o", self.log, *options, self.program, "--dir", self.dir]
        ran = subprocess.run(
            [*words, *self.commands[command]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            preexec_fn=default_signals,
            timeout=PATIENCE,
            check=False,
        )
        return Finished(ran.returncode, ran.stdout, ran.stderr)

    def trace(self) -> str:
        return pathlib.Path(self.log).read_text(encoding="utf-8", errors="replace")

    def numbers(self, command: str, call: str) -> range:
        """Of the calls that a run without a fault makes after main has begun, in the thread that makes most."""
        run = self.traced(command, f"trace={call},rt_sigaction")
        self.assertEqual(run.status, 0, run.complaint)
        before, by_thread = 0, {"": 0}
        began = False
        for line in self.trace().splitlines():
            began = began or MAIN.search(line) is not None
            if (match := CALL.match(line)) and match[2] == call:
                by_thread[match[1]] = by_thread.get(match[1], 0) + 1
                before += not began
        self.assertTrue(began, "main was not recognised in the trace")
        return range(before + 1, max(by_thread.values()) + 1)

    def check(self, command: str, fault: Fault) -> None:
        """One run with one fault."""
        run = self.traced(command, f"trace={fault.call}", fault.inject)
        said = f"{command}, {fault.inject}: status {run.status}: {run.complaint}{run.text[-400:]}"
        self.assertIn(run.status, (0, 3, 125), said)
        left = os.listdir(self.dir)
        for name in left:
            shutil.rmtree(os.path.join(self.dir, name))
            self.assertIn(name, run.complaint, f"{said}\nleft behind in silence: {name}")
        if run.status == 0:
            self.check_complete(command, run, said)
        else:
            self.assertTrue(run.err or run.out, f"{said}: it says nothing")

    def check_complete(self, command: str, run: Finished, said: str) -> None:
        """Of a run that says that all is well: it has done all of it."""
        if command == "replay":
            self.assertRegex(run.text, r"\nVerdict +ok\n", said)
            return
        result = json.loads(pathlib.Path(self.report).read_text(encoding="utf-8"))
        if command == "explore":
            modes = [mode["result"] for test in result["tests"] for mode in test["modes"]]
            self.assertEqual([mode["complete"] for mode in modes], [True, True], said)
        else:
            rounds = [mode["rounds"] for ran in result["runs"] for mode in ran["modes"]]
            self.assertEqual(rounds, [ROUNDS] * 2 * len(self.modes), said)

    def test_a_failure_loses_nothing_that_a_search_has_found(self) -> None:
        orders = self.write_test_of(
            "orders",
            'file f = ""; handle w = open f; handle r = open f;',
            "P0 { append(w, a[1]); append(w, b[1]); append(w, c[1]); }\nP1 { n = statx(r); m = statx(r); }",
            "forbidden (P1:n.size = 1)",
        )
        self.commands = {"explore": [orders, "--mode", "sync", "--explore", "--json", self.report]}
        every = self.numbers("explore", "openat")
        run = self.traced("explore", "trace=openat", Fault("openat", "EMFILE", every[len(every) // 2]).inject)
        self.assertEqual(run.status, 3, run.complaint)
        mode = json.loads(pathlib.Path(self.report).read_text(encoding="utf-8"))["tests"][0]["modes"][0]
        self.assertIn("Too many open files", mode["failure"])
        self.assertGreater(mode["result"]["schedules"], 0)
        self.assertFalse(mode["result"]["complete"])
        self.assertIn("ended by a failure", run.text)
        self.assertIn("Replay ", run.text)

    def inject_all(self, call: str) -> None:
        numbers = {command: self.numbers(command, call) for command in self.commands}
        if not any(numbers.values()):
            self.skipTest(f"the program does not call {call} here")
        for error in FAULTS[call]:
            for command, every in numbers.items():
                chosen = list(every)
                if not self.everything:
                    random.Random(f"{SEED} {call} {error}").shuffle(chosen)
                    chosen = sorted(chosen[: SAMPLE[command]])
                for nth in chosen:
                    with self.subTest(command=command, error=error, nth=nth, seed=SEED):
                        self.check(command, Fault(call, error, nth))


def add_test(call: str) -> None:
    def test(self: Faults) -> None:
        self.inject_all(call)

    setattr(Faults, f"test_a_fault_of_{call}_is_no_verdict", test)


for each in FAULTS:
    add_test(each)


if __name__ == "__main__":
    if "--all" in sys.argv:
        sys.argv.remove("--all")
        Faults.everything = True
    sys.exit(main(__doc__))
