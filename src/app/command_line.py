"""Runs the real program for the tests of its command line: what a test starts, awaits and must leave behind."""

from __future__ import annotations

import ctypes
import json
import os
import pathlib
import re
import resource
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import typing
import unittest

try:
    import jsonschema
except ImportError:
    jsonschema = None

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import tap  # noqa: E402 pylint: disable=wrong-import-position

DOCS = ROOT / "docs"
SCHEMA = DOCS / "result.schema.json"
PATIENCE = 240  # seconds
MODES = ["uring", "blocking-pool", "tokio-fs", "uring-write-behind", "sync"]
COMPARED = [
    "uring",
    "blocking-pool",
    "tokio-fs",
    "tokio-fs+flush",
    "uring-write-behind",
    "uring-write-behind+flush",
    "sync",
]


Value = typing.TypeVar("Value")


def eventually(condition: typing.Callable[[], Value]) -> Value:
    """Looks until it is so, and returns what the condition was."""
    give_up = time.monotonic() + PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > give_up:
            raise AssertionError("it did not come about")
        time.sleep(0.002)


def find(pattern: str, text: str, flags: int = 0) -> str:
    """The first group of the first match, which must be there."""
    match = re.search(pattern, text, flags)
    assert match is not None, text
    return match[1]


def filesystem_of(path: str) -> str:
    """The type of the filesystem that a path is on, from mountinfo."""
    best = ("", "")
    for line in pathlib.Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        fields = line.split(" ")
        point, kind = fields[4], fields[fields.index("-") + 1]
        if (path + "/").startswith(point.rstrip("/") + "/") and len(point) >= len(best[0]):
            best = (point, kind)
    return best[1]


# In memory where it can be, as an fsync is fast there.
FAST = "/dev/shm" if filesystem_of("/dev/shm") == "tmpfs" and os.access("/dev/shm", os.W_OK) else None


def default_signals() -> None:
    """For a child: this test may have been started with the interrupt ignored (nohup, `&`)."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)


def limit(what: int, value: int) -> typing.Callable[[], None]:
    """For a child: lowers a resource limit, hard and soft."""

    def apply() -> None:
        default_signals()
        resource.setrlimit(what, (value, value))

    return apply


IO_URING_SETUP, IO_URING_ENTER = 425, 426  # on every architecture


def refuse_io_uring(error: int, call: int = IO_URING_SETUP) -> typing.Callable[[], None]:
    """For a child: a seccomp filter that answers `call` with `error`, as container runtimes do."""
    libc = ctypes.CDLL(None, use_errno=True)
    load, equal, answer = 0x20, 0x15, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_RET|K
    allow, fail = 0x7FFF0000, 0x00050000 | error
    program = b"".join(
        struct.pack("=HBBI", *instruction)
        for instruction in [
            (load, 0, 0, 0),
            (equal, 0, 1, call),
            (answer, 0, 0, fail),
            (answer, 0, 0, allow),
        ]
    )
    code = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: the number of instructions, then where they are.
    filter_program = ctypes.create_string_buffer(struct.pack("@HP", 4, ctypes.addressof(code)))

    def apply(keep: tuple = (code, filter_program)) -> None:  # pylint: disable=unused-argument
        default_signals()
        set_no_new_privs, set_seccomp, filter_mode = 38, 22, 2
        if (
            libc.prctl(set_no_new_privs, 1, 0, 0, 0) != 0
            or libc.prctl(set_seccomp, filter_mode, filter_program, 0, 0) != 0
        ):
            raise OSError(ctypes.get_errno(), "seccomp")

    return apply


def ring_is_available() -> bool:
    run = subprocess.run([Case.program, "--probe"], capture_output=True, timeout=PATIENCE, check=False)
    return run.returncode == 0


def can_mount(kind: str) -> str:
    """Whether a filesystem can be mounted in a user and mount namespace; the reason if not."""
    if shutil.which("unshare") is None:
        return "there is no unshare(1)"
    with tempfile.TemporaryDirectory() as point:
        run = subprocess.run(
            ["unshare", "-rm", "mount", "-t", kind, "none", point],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    return "" if run.returncode == 0 else f"cannot mount {kind} in a user namespace: {run.stderr.strip()}"


class Finished:
    """What a run came to."""

    def __init__(self, status: int, out: bytes, err: bytes) -> None:
        self.status, self.out, self.err = status, out, err

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def complaint(self) -> str:
        return self.err.decode()

    @property
    def json(self) -> typing.Any:
        return json.loads(self.out, parse_constant=lambda word: 1 / 0)


def stderr_of(process: subprocess.Popen[bytes]) -> int:
    """The descriptor of the pipe that a program complains to."""
    assert process.stderr is not None
    return process.stderr.fileno()


class Case(unittest.TestCase):
    """A directory of its own, which must be empty after every test."""

    maxDiff = None
    program = ""  # the path of what is tested; main() sets it

    def setUp(self) -> None:
        self.dir = tempfile.mkdtemp(prefix="filemap-cli-", dir=FAST)
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.files = tempfile.mkdtemp(prefix="filemap-cli-", dir=FAST)  # for --json and --trace
        self.addCleanup(shutil.rmtree, self.files, ignore_errors=True)

    def start(self, *arguments: str, **popen: typing.Any) -> subprocess.Popen[bytes]:
        popen = {
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "stdin": subprocess.DEVNULL,
            "preexec_fn": default_signals,
            **popen,
        }
        process = subprocess.Popen([self.program, *arguments], **popen)
        self.addCleanup(self.reap, process)
        return process

    @staticmethod
    def reap(process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:
            process.kill()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
        process.wait()

    def end_of(self, process: subprocess.Popen[bytes]) -> Finished:
        out, err = process.communicate(timeout=PATIENCE)
        return Finished(process.returncode, out or b"", err or b"")

    def run_program(self, *arguments: str, **popen: typing.Any) -> Finished:
        return self.end_of(self.start(*arguments, **popen))

    def run_here(self, *arguments: str, expect: int | None = 0, **popen: typing.Any) -> Finished:
        """Runs it in the test's directory; checks the exit status and that nothing is left there."""
        finished = self.run_program("--dir", self.dir, *arguments, **popen)
        if expect is not None:
            self.assertEqual(finished.status, expect, finished.complaint + finished.text)
        self.assertGreaterEqual(finished.status, 0, finished.complaint)
        self.assert_nothing_left()
        return finished

    def run_for_json(self, *arguments: str, expect: int | None = 0, **popen: typing.Any) -> typing.Any:
        finished = self.run_here("--json", "-", *arguments, expect=expect, **popen)
        return self.check_json(finished.json)

    def check_json(self, result: typing.Any, schema: pathlib.Path = SCHEMA) -> typing.Any:
        if jsonschema is not None and schema.exists():
            jsonschema.validate(
                result, json.loads(schema.read_text(encoding="utf-8")), cls=jsonschema.Draft7Validator
            )
        return result

    def write_test_of(
        self, name: str, declared: str, processes: str, condition: str = 'exists (f = "")'
    ) -> str:
        """A litmus test of that name; its path."""
        path = pathlib.Path(self.files, f"{name}.litmus")
        path.write_text(f'F {name}\n"?"\n{{ {declared} }}\n{processes}\n{condition}\n', encoding="ascii")
        return str(path)

    def check_exploration(self, result: typing.Any) -> typing.Any:
        return self.check_json(result, SCHEMA.with_name("exploration.schema.json"))

    def assert_nothing_left(self) -> None:
        self.assertEqual(os.listdir(self.dir), [])

    def assert_one_line(self, finished: Finished, *parts: str) -> None:
        """It complained on standard error, in one line that has all the parts."""
        lines = finished.complaint.splitlines()
        self.assertEqual(len(lines), 1, finished.complaint)
        self.assertTrue(lines[0].startswith("filemap-uring: "), lines[0])
        for part in parts:
            self.assertIn(part, lines[0])

    def need_ring(self) -> None:
        if not ring_is_available():
            self.skipTest("io_uring cannot be used here")

    def need_no_sanitizer(self, why: str) -> None:
        """For limits that leave the program enough, and a sanitizer's own needs not."""
        if re.search(rb"__[atu]b?san_", pathlib.Path(self.program).read_bytes()):
            self.skipTest(why)

    def work_directory(self) -> pathlib.Path | None:
        """The one that a run has made, when it has."""
        return next(pathlib.Path(self.dir).glob("filemap-uring.*"), None)

    def files_are_there(self) -> bool:
        directory = self.work_directory()
        return directory is not None and any(path.is_file() for path in directory.rglob("*"))

    def run_interrupted(self) -> Finished:
        """A run that is interrupted once it has shown progress."""
        process = self.start("--dir", self.dir, "--duration", "1h", "-m", "sync", "--progress", "always")
        self.read_until(stderr_of(process), PROGRESS)
        process.send_signal(signal.SIGINT)
        finished = self.end_of(process)
        self.assertEqual(finished.status, 130)
        return finished

    def read_until(self, fd: int, pattern: bytes) -> bytes:
        """Reads from a pipe or terminal until what was read has the pattern."""
        seen = b""
        give_up = time.monotonic() + PATIENCE
        while not re.search(pattern, seen):
            self.assertGreater(give_up, time.monotonic(), seen)
            ready, _, _ = select.select([fd], [], [], 1)
            if ready:
                part = os.read(fd, 65536)
                self.assertTrue(part, seen)
                seen += part
        return seen


PROGRESS = rb"\d+ %  \S+  [\d,]+ rounds, [\d,]+ per second, ETA (\?|[\d.]+ \S+)"


def main(documentation: str | None) -> int:
    """Runs the tests of the file that was started, with the command line PROGRAM [NAME…]."""
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        print(documentation)
        return 2
    Case.program = os.path.abspath(sys.argv[1])
    return tap.run(tap.tests_of(sys.modules["__main__"], sys.argv[2:]))
