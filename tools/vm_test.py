"""Boots real kernels with tools/kernel-run: the suite "vm".

What a guest does wrong is done by src/guest/misbehave.cpp. Skipped, with the reason, where there is no QEMU or
no kernel can be had; a kernel that is there and does not boot is a failure.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import typing
import unittest

from kernel import disk, guest, programs, store
from kernel.common import ROOT, Failed

PATIENCE = 600  # seconds; only ends a test that has failed
RUN = [sys.executable, str(ROOT / "tools" / "kernel-run")]


@functools.cache
def kernels() -> tuple[store.Image, store.Image, str]:
    """(the oldest, the newest, why there are none)."""
    none = store.Image("", "", pathlib.Path(), None)
    if not shutil.which(guest.QEMU):
        return none, none, f"{guest.QEMU} is missing (tools/setup --vm installs it)"
    try:
        disk.tool("ext4")
        oldest, newest = store.obtain(["oldest"])[0], store.obtain(["newest"])[0]
    except Failed as error:
        return none, none, f"no kernels: {error}"
    return oldest, newest, ""


@functools.cache
def misbehave() -> pathlib.Path:
    return programs.build(programs.MISBEHAVE)[0]


def kernel_run(*arguments: object, **options: typing.Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*RUN, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE,
        check=False,
        **options,
    )


def eventually(condition: typing.Callable[[], typing.Any]) -> typing.Any:
    """Looks until it is so, and returns what the condition was."""
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError("it did not come about")


class Vm(unittest.TestCase):
    def setUp(self) -> None:
        self.oldest, self.newest, missing = kernels()
        if missing:
            self.skipTest(missing)
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)

    def misbehave(
        self, *arguments: str, options: typing.Iterable[object] = ()
    ) -> subprocess.CompletedProcess[str]:
        """The run of misbehave on the oldest kernel, which boots fastest; on tmpfs, unless an option says else."""
        return kernel_run(
            "--kernel",
            self.oldest.name,
            "--fs",
            "tmpfs",
            "--program",
            misbehave(),
            *options,
            "--",
            *arguments,
        )

    def check_verdict_of(self, image: store.Image) -> None:
        result = self.folder / "result.json"
        done = kernel_run(
            "--kernel",
            image.name,
            "--fs",
            "ext4",
            "--json",
            result,
            "--",
            "--iterations",
            "20",
            "--mode",
            "uring,blocking-pool,tokio-fs",
            "--round-timeout",
            "2m",
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        report = json.loads(result.read_bytes())
        self.assertEqual(report["host"]["kernel_release"], image.name)
        self.assertEqual(report["filesystem"]["type"], "ext4")
        self.assertEqual(
            [(mode["mode"], mode["rounds"]) for mode in report["modes"]],
            [("uring", 20), ("blocking-pool", 20), ("tokio-fs", 20)],
        )
        self.assertIn("Observation tokio-4796", done.stdout)
        self.assertRegex(done.stderr.splitlines()[-1], rf"{image.series}.*, ext4: ok \(")

    def test_the_oldest_kernel_gives_its_verdict(self) -> None:
        self.check_verdict_of(self.oldest)

    def test_the_newest_kernel_gives_its_verdict(self) -> None:
        self.check_verdict_of(self.newest)

    def test_an_image_file_without_modules_is_served_over_serial_ports(self) -> None:
        # As of someone who built it: Debian's has virtio as modules up to 6.1, so none of its channels is there.
        result = self.folder / "result.json"
        done = kernel_run(
            "--kernel", self.oldest.path, "--json", result, "--", "--iterations", "3", "--round-timeout", "2m"
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("Observation tokio-4796 Never 0 3\n", done.stdout)
        self.assertEqual(json.loads(result.read_bytes())["modes"][0]["rounds"], 3)

    def test_a_forbidden_outcome_is_status_1(self) -> None:
        # On tmpfs with the write held back, tokio-fs misses every write; --strict forbids that.
        done = kernel_run(
            "--kernel",
            self.oldest.name,
            "--fs",
            "tmpfs",
            "--",
            "--iterations",
            "3",
            "--mode",
            "tokio-fs",
            "--strict",
            "--stall",
            "write=200ms",
            "--round-timeout",
            "2m",
        )
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn(": forbidden (", done.stderr)

    def test_arguments_and_status_come_through_as_they_are(self) -> None:
        words = ["two words", "", "quo'te\"s", "$HOME", "--", "line\nbreak", "ä"]
        done = self.misbehave("echo", *words)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("".join(f"[{word}]\n" for word in words), done.stdout)
        self.assertEqual(self.misbehave("exit", "7").returncode, 7)

    def test_a_panic_is_status_1_and_says_which(self) -> None:
        done = self.misbehave("panic")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(
            "panic: Kernel panic - not syncing: sysrq triggered crash", done.stderr.splitlines()[-1]
        )

    def test_a_warning_in_the_kernels_log_is_part_of_the_result(self) -> None:
        done = self.misbehave("warn")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("kernel log: WARNING: CPU: 0 PID: 1 at io_uring/io_uring.c:1 made up", done.stderr)

    def test_a_hang_is_status_4(self) -> None:
        done = self.misbehave("hang", options=["--timeout", "1s"])
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertIn("hang: the program did not end within 1 s", done.stderr.splitlines()[-1])

    def test_a_guest_that_dies_cannot_tell(self) -> None:
        done = self.misbehave("reset")
        self.assertEqual(done.returncode, 125, done.stderr)
        self.assertIn("died: the guest ended without the end marker", done.stderr.splitlines()[-1])

    def check_that_all_arrives(self, size: int, kernel: object) -> None:
        lines = (f"{number}\n" for number in itertools.count())
        expected = "".join(itertools.islice(lines, size))[:size]
        result = self.folder / "result.json"
        options = ["--kernel", kernel, "--fs", "tmpfs", "--program", misbehave(), "--json", result]
        done = kernel_run(*options, "--", "result", str(size))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(result.read_text(encoding="utf-8"), expected)
        done = kernel_run(*options, "--", "print", str(size))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout, "misbehaving: print\n" + expected)

    def test_a_result_and_an_output_of_several_megabytes_arrive_whole(self) -> None:
        self.check_that_all_arrives(5_000_000, self.oldest.name)

    def test_they_do_over_serial_ports(self) -> None:
        self.check_that_all_arrives(1_000_000, self.oldest.path)

    def test_the_disk_and_the_kernels_settings_are_as_asked(self) -> None:
        options = ["--fs", "ext4", "--mkfs-options", "-b 1024 -O inline_data -I 256", "--sysctl"]
        options += ["vm.dirty_bytes=262144", "--mount-options", "noatime,nodelalloc"]
        done = self.misbehave("show", "/proc/mounts", "/proc/sys/vm/dirty_bytes", options=options)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("block size 1024\n", done.stdout)
        self.assertRegex(done.stdout, r"/mnt ext4 rw,noatime,nodelalloc\b")
        self.assertIn("\n262144\n", done.stdout)
        self.assertIn("^orphan_file,inline_data", done.stderr)

    def test_a_setting_that_this_kernel_has_not_cannot_tell(self) -> None:
        done = self.misbehave("exit", "0", options=["--sysctl", "vm.no_such_setting=1"])
        self.assertEqual(done.returncode, 125, done.stderr)
        self.assertIn("sysctl vm.no_such_setting=1: No such file", done.stderr.splitlines()[-1])

    def test_searches_and_the_model_work_in_a_guest(self) -> None:
        here = ["--kernel", self.oldest.name, "--fs", "tmpfs", "--"]
        done = kernel_run(*here, "tokio-4796", "--mode", "tokio-fs", "--explore")
        self.assertEqual(done.returncode, 0, done.stderr)
        (replay,) = re.findall(r"^Replay +(.*)$", done.stdout, re.M)
        again = subprocess.run(
            replay.replace("tools/kernel-run", shlex.join(RUN), 1),
            shell=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=PATIENCE,
            text=True,
            check=True,
        )
        self.assertIn("Time line", again.stdout)
        done = kernel_run(*here, "tokio-4796", "--model-only")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("tokio-fs", done.stdout)

    def test_the_conformance_suite_runs_in_a_guest(self) -> None:
        # A part of it; all of it takes minutes (docs/kernels.md).
        options = ["--kernel", self.newest.name, "--fs", "tmpfs", "--conformance"]
        done = kernel_run(*options, "--", "--gtest_filter=*read*")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"\[  PASSED  \] [1-9]\d* tests?")

    def test_a_missing_disk_cannot_tell(self) -> None:
        done = self.misbehave("exit", "0", options=["--fs", "ext4", "--no-disk"])
        self.assertEqual(done.returncode, 125, done.stderr)
        self.assertIn("no disk", done.stderr.splitlines()[-1])

    def test_a_kernel_that_does_not_boot_in_time_cannot_tell(self) -> None:
        done = self.misbehave("exit", "0", options=["--boot-timeout", "0.01s"])
        self.assertEqual(done.returncode, 125, done.stderr)
        self.assertIn("no-boot: no sign of init", done.stderr.splitlines()[-1])

    def test_nothing_is_left_when_the_tool_is_killed(self) -> None:
        scratch = self.folder / "scratch"
        scratch.mkdir()
        tool = subprocess.Popen(
            [*RUN, "--kernel", self.oldest.name, "--fs", "ext4", "--program", misbehave(), "--", "hang"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "TMPDIR": str(scratch)},
        )
        assert tool.stdout is not None
        with contextlib.closing(tool.stdout):
            tool.stdout.readline()  # the guest's program runs
            qemu = children_of(tool.pid)
            self.assertEqual(len(qemu), 1)
            tool.send_signal(signal.SIGKILL)
            tool.wait()
        eventually(lambda: not pathlib.Path(f"/proc/{qemu[0]}").exists())
        self.assertEqual(list(scratch.iterdir()), [])

    def test_an_interrupt_ends_the_guest(self) -> None:
        tool = subprocess.Popen(
            [*RUN, "--kernel", self.oldest.name, "--fs", "tmpfs", "--program", misbehave(), "--", "hang"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # A background job of a shell ignores it, and so would its children.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        assert tool.stdout is not None
        with contextlib.closing(tool.stdout):
            tool.stdout.readline()
            qemu = children_of(tool.pid)
            tool.send_signal(signal.SIGINT)
            self.assertEqual(tool.wait(PATIENCE), 130)
        self.assertFalse(pathlib.Path(f"/proc/{qemu[0]}").exists())

    def test_git_bisect_run_finds_the_first_bad_commit(self) -> None:
        def git(*arguments: object) -> str:
            command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *map(str, arguments)]
            return subprocess.run(
                command,
                cwd=self.folder,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=True,
            ).stdout

        git("init", "-q")
        for number, image in enumerate([self.oldest, self.oldest, self.newest, self.newest]):
            (self.folder / "kernel").write_text(image.name)
            git("add", "kernel")
            git("commit", "-q", "--allow-empty", "-m", f"commit {number}")
        git("bisect", "start", "HEAD", "HEAD~3")
        recipe = f'"{sys.executable}" "{ROOT}/tools/kernel-run" --kernel "$(cat kernel)" --fs tmpfs '
        recipe += f'--program "{misbehave()}" -- bad-since {self.newest.series}'
        said = git("bisect", "run", "sh", "-c", recipe)
        self.assertRegex(said, r"is the first bad commit\n(.*\n)*.*commit 2\n")

    def test_a_bisection_over_a_folder_of_images_finds_the_first_bad_one(self) -> None:
        images = self.folder / "images"
        images.mkdir()
        for name, image in (("a", self.oldest), ("b", self.oldest), ("c", self.newest)):
            (images / name).symlink_to(image.path)
            assert image.modules is not None
            (images / f"{name}.modules").symlink_to(image.modules)
        bisect = [
            sys.executable,
            str(ROOT / "tools" / "kernel-bisect"),
            "--good",
            "a",
            "--bad",
            "c",
            "--fs",
            "tmpfs",
        ]
        bisect += [
            "--images",
            str(images),
            "--program",
            str(misbehave()),
            "--",
            "bad-since",
            self.newest.series,
        ]
        outputs = []
        for _ in range(2):  # the second time from its log
            done = subprocess.run(bisect, cwd=self.folder, stdout=subprocess.PIPE, text=True, check=True)
            outputs.append(done.stdout.splitlines())
        self.assertRegex(outputs[0][-1], r"^first bad +.*\(c\)$")
        self.assertEqual([line.endswith("(from the log)") for line in outputs[1][:-2]], [True] * 3)

    def test_a_matrix_has_the_verdict_of_each_kernel(self) -> None:
        table = self.folder / "matrix.json"
        done = subprocess.run(
            [sys.executable, str(ROOT / "tools" / "kernel-matrix"), "--json", str(table)]
            + ["--state", str(self.folder / "state"), "--kernels", f"{self.oldest.name},{self.newest.name}"]
            + [
                "--fs",
                "tmpfs",
                "--mode",
                "uring,tokio-fs",
                "--",
                "--iterations",
                "5",
                "--round-timeout",
                "2m",
            ],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        cells = json.loads(table.read_bytes())["cells"]
        self.assertEqual(
            [(cell["kernel"], cell["mode"], cell["rounds"], cell["status"]) for cell in cells],
            [
                (image.version, mode, 5, 0)
                for image in (self.oldest, self.newest)
                for mode in ("uring", "tokio-fs")
            ],
        )
        self.assertIn("uring", done.stdout.splitlines()[0])


def children_of(pid: int) -> list[str]:
    return pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text("utf-8").split()


class WithoutAGuest(unittest.TestCase):
    """Errors that are told before anything is booted."""

    def setUp(self) -> None:
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)

    def test_errors_are_one_line_and_have_their_status(self) -> None:
        text = self.folder / "text"
        text.write_text("not a kernel" * 100)
        cases: list[tuple[list[str], int, str]] = [
            ([], 2, "--kernel"),
            (["--kernel", "/nowhere/bzImage"], 125, "there is no such kernel image"),
            (["--kernel", str(text)], 125, "not a bootable x86 kernel"),
            (["--kernel", str(self.folder)], 2, "not a file"),
            (["--kernel", "6.1", "--modules", str(self.folder)], 2, "--modules"),
            (["--kernel", "6.1", "--fs", "ntfs"], 2, "ntfs"),
            (["--kernel", "6.1", "--fs", "tmpfs", "--mkfs-options", "-b 1024"], 2, "--mkfs-options"),
            (["--kernel", "6.1", "--sysctl", "vm.dirty_bytes"], 2, "--sysctl"),
            (["--kernel", "6.1", "--mirror", "http://a/\nTrusted: yes"], 2, "--mirror"),
            (["--kernel", "6.1", "--", "--dir", "/tmp"], 2, "--dir behind --"),
        ]
        for arguments, status, words in cases:
            done = kernel_run(*arguments)
            self.assertEqual(done.returncode, status, arguments)
            self.assertIn(words, done.stderr.splitlines()[-1])

    def test_an_error_stops_git_bisect_instead_of_counting_as_bad(self) -> None:
        subprocess.run(["git", "init", "-q", str(self.folder)], check=True)
        (self.folder / ".git" / "BISECT_START").write_text("main\n")
        self.assertEqual(kernel_run("--no-such-option", cwd=self.folder).returncode, 128)
        self.assertEqual(kernel_run("--kernel", "/nowhere/bzImage", cwd=self.folder).returncode, 125)
