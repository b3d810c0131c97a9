"""One run of one guest in QEMU, and what came of it.

Everything goes through pipes and memory: the initramfs is a memfd; the kernel's console and the program's output
are pipes that QEMU has as /dev/fd/N, the result of src/guest/init.cpp comes through a pair of sockets, as it is
answered; the disk's overlay is a file that QEMU unlinks when it has opened it. So nothing is left in the file
system, whatever ends this process. QEMU itself asks the kernel to be killed with the thread that started it
(PR_SET_PDEATHSIG), which also works when that is killed with SIGKILL.

A guest is believed only if its result ends with the end marker and its checksum is right. A panic under
panic=-1 and -no-reboot ends QEMU with status 0, so that status says nothing. What a guest has written is on its
way for as long as QEMU is busy, and a power-off would lose it; so the guest stays until the end is answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import dataclasses
import math
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time
import typing
import zlib

from kernel import arguments, cpio, disk, modules
from kernel.common import CANNOT_RUN, ENVIRONMENT, FORBIDDEN, HANG, OK, Failed
from kernel.store import Image

QEMU = "qemu-system-x86_64"
CPUS = 2  # one stalled on 5.6 under emulation
MEMORY = 1024  # MiB
# As in src/guest/init.cpp.
STARTED = "filemap-init: the program starts"
END_OF_OUTPUT = b"\0filemap-init: the output ends\n"

# Seconds without a line on the console until init speaks; in all, five times as many. Emulated guests took 2 to 5
# seconds to init on a machine of their own, and up to 80 beside a dozen compilers.
BOOT_TIMEOUT = {"kvm": 30, "tcg": 120}
TIMEOUT = {"kvm": 600, "tcg": 1800}  # seconds for the program; a loop of it has a time-out of its own
# no_timer_check: on a busy machine the timer of an emulated guest can miss the moment in which the kernel looks
# for it, which then panics: "IO-APIC + timer doesn't work!" (in 3 of 40 boots beside a dozen compilers).
KERNEL_OPTIONS = "console=ttyS0 loglevel=7 panic=-1 random.trust_cpu=on no_timer_check"
GRACE = 20  # seconds without a byte of the result, after the program's time-out, to giving the guest up
POWER_OFF = 3  # seconds from the answer to the end marker to not waiting any longer


@dataclasses.dataclass
class Setup:
    """What to run in a guest."""

    image: Image
    filesystem: str
    program: pathlib.Path
    init: pathlib.Path
    arguments: list[str] | None  # None: only report the boot
    accelerator: str = "tcg"
    timeout: float | None = None  # seconds
    boot_timeout: float | None = None  # seconds
    memory: int = MEMORY
    is_ours: bool = True  # whether the program is filemap-uring, which is told where and how
    attach_disk: bool = True
    mkfs_options: list[str] = dataclasses.field(default_factory=list)
    mount_options: str = ""  # as mount(8)'s -o
    sysctl: list[str] = dataclasses.field(default_factory=list)  # NAME=VALUE
    temporary: str = "/tmp"  # TMPDIR of the program


@dataclasses.dataclass
class Outcome:
    """What came of a guest."""

    status: int  # as kernel-run's exit status
    what: str  # one word
    why: str  # one line; empty when the word says all
    json: bytes | None = None
    findings: list[str] = dataclasses.field(default_factory=list)  # lines of the kernel's log
    release: str = ""  # of the kernel that ran, as it says itself
    boot_seconds: float | None = None  # from QEMU's start to init
    seconds: float = 0  # from QEMU's start to the verdict
    console: str = ""


class ResultStream:
    """Reads the records "NAME LENGTH\\nBYTES\\n" that init sends, as they come."""

    HEAD = re.compile(rb"(\w{1,20}) (\d{1,12})\n")

    def __init__(self) -> None:
        self.records: dict[str, bytes] = {}
        self.ended = False
        self.received = 0  # bytes
        self._buffer = bytearray()
        self._checksum = 0

    def feed(self, data: bytes) -> None:
        self.received += len(data)
        self._buffer += data
        while not self.ended and (record := self._next()):
            name, value, size = record
            if name == "end":
                self.ended = value == b"%08x" % self._checksum
                self._buffer.clear()  # if the checksum is wrong, nothing that follows is believed either
                return
            self._checksum = zlib.crc32(self._buffer[:size], self._checksum)
            del self._buffer[:size]
            self.records[name] = value

    def _next(self) -> tuple[str, bytes, int] | None:
        match = self.HEAD.match(self._buffer)
        if not match:
            return None
        start, length = match.end(), int(match[2])
        if self._buffer[start + length : start + length + 1] != b"\n":
            return None  # not all of it is here, or it is damaged
        return match[1].decode(), bytes(self._buffer[start : start + length]), start + length + 1


class OutputStream:
    """What the program prints, without the mark that init puts behind it."""

    def __init__(self) -> None:
        self.ended = False
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """What is known to be the program's."""
        if self.ended:
            return b""  # of a process that it left behind
        data = self._held + data
        text, mark, _ = data.partition(END_OF_OUTPUT)
        self.ended, self._held = bool(mark), b""
        if not self.ended:
            at = data.rfind(END_OF_OUTPUT[:1])
            if at >= 0 and END_OF_OUTPUT.startswith(data[at:]):
                text, self._held = data[:at], data[at:]
        return text

    def rest(self) -> bytes:
        """What was held back, when nothing more comes."""
        held, self._held = self._held, b""
        return held


# --- the verdict ----------------------------------------------------------------------------------

PANIC = re.compile(r"Kernel panic - not syncing.*")
OOPS = re.compile(
    r"(?<!watchdog: )BUG: (?!soft lockup).*|Oops: .*|Oops\[.*|general protection fault.*|kernel BUG at .*"
)
WARNING = re.compile(
    r"WARNING: .*|INFO: task .* blocked for more than .*|.*\bio_uring\b.*(?:error|fail|overflow|leak).*|"
    r"watchdog: BUG: soft lockup.*|rcu: INFO: .*stall.*|.*[Cc]orruption.*|.*I/O error.*"
)


def findings(console: str) -> tuple[list[str], list[str]]:
    """What a kernel's log has against it since the program started: (panics and oopses, warnings)."""
    text = console.replace("\r", "")
    panics = PANIC.findall(text)
    since = text.partition(STARTED)[2]
    oopses, warnings = [], []
    for line in since.splitlines():
        line = re.sub(r"^(<\d+>)?\[ *[\d.]+\](\[[^]]*\])? ?", "", line)
        if match := OOPS.search(line):
            oopses.append(match.group())
        elif match := WARNING.search(line):
            warnings.append(match.group())
    return oopses + panics, warnings


def last_line(console: str) -> str:
    lines = [line.strip() for line in console.replace("\r", "").splitlines() if line.strip()]
    return lines[-1][:200] if lines else "nothing"


def judge(
    records: dict[str, bytes], ended: bool, console: str, timed_out: str | None
) -> tuple[int, str, str]:
    """(status, word, reason) of a guest, from what is known of it.

    records, ended: what init sent, and whether the end marker came. timed_out: the phase that was given
    up ("boot" or "run"), or None.
    """
    bad, _ = findings(console)
    panic = next((line for line in bad if PANIC.match(line)), None)
    if "booted" not in records:
        if panic:
            return CANNOT_RUN, "no-boot", panic
        if timed_out:
            return (CANNOT_RUN, "no-boot", f"no sign of init; the console ends with: {last_line(console)}")
        return (
            CANNOT_RUN,
            "no-boot",
            f"the guest ended before init; the console ends with: {last_line(console)}",
        )
    if not ended:
        started = "started" in records
        if panic:
            return (FORBIDDEN, "panic", panic) if started else (CANNOT_RUN, "no-start", panic)
        if timed_out:
            if started:
                return HANG, "hang", "the guest stopped answering"
            return CANNOT_RUN, "no-start", f"init got stuck; the console ends with: {last_line(console)}"
        return CANNOT_RUN, "died", "the guest ended without the end marker; nothing that it said is believed"
    if "failed" in records:
        return CANNOT_RUN, "no-start", records["failed"].decode(errors="replace")
    status, word, why = program_verdict(records)
    if bad and status in (OK, CANNOT_RUN, ENVIRONMENT):
        return FORBIDDEN, "oops", bad[0]
    return status, word, why


WORDS = {
    OK: "ok",
    FORBIDDEN: "forbidden",
    2: "usage",
    ENVIRONMENT: "environment",
    HANG: "hang",
    CANNOT_RUN: "unsupported",
    130: "interrupted",
}


def program_verdict(records: dict[str, bytes]) -> tuple[int, str, str]:
    if "timeout" in records:
        return HANG, "hang", f"the program did not end within {records['timeout'].decode()} s"
    if "killed" in records:
        number = int(records["killed"])
        return ENVIRONMENT, "killed", f"the program was ended by {signal.Signals(number).name}"
    if "exited" not in records:
        if "started" in records:
            return CANNOT_RUN, "died", "init did not say how the program ended"
        return OK, "booted", ""
    status = int(records["exited"])
    if status in (126, 127) or status >= 128 and status != 130:
        return ENVIRONMENT, "environment", f"the program ended with status {status}"
    return (
        status,
        WORDS.get(status, "bad"),
        "" if status in WORDS else f"the program ended with status {status}",
    )


# --- QEMU -----------------------------------------------------------------------------------------


def experiment_file(setup: Setup, loaded: list[tuple[str, bytes]]) -> bytes:
    """/experiment of the guest, which src/guest/init.cpp reads."""
    records = [("module", f"/modules/{name}") for name, _ in loaded]
    if setup.arguments is not None:
        argv = ["/program", *arguments.with_tests(setup.arguments)[0]]
        if setup.is_ours:
            argv += [word for pair in arguments.added(setup.arguments, setup.accelerator) for word in pair]
        records += [("filesystem", setup.filesystem), ("timeout", str(math.ceil(timeouts(setup)[1])))]
        records += [("mount_options", setup.mount_options), ("temporary", setup.temporary)]
        records += [("setting", setting) for setting in setup.sysctl]
        records += [("argument", argument) for argument in argv]
    return b"".join(f"{name}={value}".encode() + b"\0" for name, value in records)


def timeouts(setup: Setup) -> tuple[float, float]:
    """(for the boot, for the program), in seconds."""
    return (
        setup.boot_timeout or BOOT_TIMEOUT[setup.accelerator],
        setup.timeout or TIMEOUT[setup.accelerator],
    )


def initramfs(setup: Setup) -> bytes:
    loaded = modules.for_guest(setup.image.modules, setup.filesystem)
    files = {"init": setup.init.read_bytes(), "experiment": experiment_file(setup, loaded)}
    if setup.arguments is not None:
        files |= {"program": setup.program.read_bytes(), **arguments.with_tests(setup.arguments)[1]}
    files |= {f"modules/{name}": data for name, data in loaded}
    return cpio.archive(files)


def disk_options(setup: Setup) -> list[str]:
    """QEMU's options for the disk: one file on each controller that the kernel may have a driver for.

    Each has an overlay of its own, and init mounts only one of them.
    """
    if setup.filesystem == "tmpfs" or setup.arguments is None or not setup.attach_disk:
        return []
    path, _ = disk.image(setup.filesystem, setup.mkfs_options)
    devices = {
        "nvme": ["-device", "nvme,drive=nvme,serial=filemap"],
        "virtio": ["-device", "virtio-blk-pci,drive=virtio"],
        "sata": ["-device", "ich9-ahci,id=ahci", "-device", "ide-hd,bus=ahci.0,drive=sata"],
    }
    options = []
    for controller in modules.controllers(setup.image.modules):
        options += [
            "-drive",
            f"if=none,id={controller},format=raw,snapshot=on,file={str(path).replace(',', ',,')}",
            *devices[controller],
        ]
    return options


def command(setup: Setup, initrd: int, ends: dict[str, int]) -> list[str]:
    """QEMU's command line. `ends` are file descriptors by channel."""
    accelerator = {
        "kvm": ["-accel", "kvm", "-cpu", "host"],
        "tcg": ["-accel", "tcg,thread=multi", "-cpu", "max"],
    }
    line = [
        QEMU,
        "-nodefaults",
        "-no-user-config",
        "-no-reboot",
        "-display",
        "none",
        "-machine",
        "pc",
        *accelerator[setup.accelerator],
        "-smp",
        str(CPUS),
        "-m",
        str(setup.memory),
        "-kernel",
        str(setup.image.path),
        "-initrd",
        f"/dev/fd/{initrd}",
        "-append",
        KERNEL_OPTIONS,
        "-device",
        "virtio-serial-pci",
    ]
    for name, end in ends.items():
        answered = name in Guest.ANSWERED
        line += [
            "-chardev",
            f"socket,id={name},fd={end}" if answered else f"file,id={name},path=/dev/fd/{end}",
        ]
    # The first serial port is the console; the others serve kernels without virtio_console.
    for name in ("console", "output2", "result2"):
        line += ["-serial", f"chardev:{name}"]
    for name in ("output", "result"):
        line += ["-device", f"virtserialport,chardev={name},name=filemap.{name}"]
    return line + disk_options(setup)


def die_with_parent() -> typing.Callable[[], None]:
    """Called in the child: the kernel kills it when the thread that made it is gone."""
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def in_child() -> None:
        libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            os._exit(1)  # pylint: disable=protected-access

    return in_child


def sockets() -> tuple[int, int]:
    """The two ends of a channel that leads both ways."""
    ours, theirs = socket.socketpair()
    return ours.detach(), theirs.detach()


class Guest:
    """A running guest."""

    CHANNELS = ("console", "output", "result", "output2", "result2", "stderr")
    ANSWERED = ("result", "result2")

    def __init__(self, setup: Setup, on_output: typing.Callable[[bytes], None] | None = None) -> None:
        self._setup = setup
        self._on_output = on_output
        self._texts = {"console": bytearray(), "stderr": bytearray()}
        self._streams = {"result": ResultStream(), "result2": ResultStream()}
        self._outputs = {"output": OutputStream(), "output2": OutputStream()}
        self._changed = asyncio.Event()
        self._reading: dict[str, int] = {}  # channel → the end to read from
        self._open: set[str] = set()  # the channels that have not ended

    async def run(self) -> Outcome:
        """Runs it to its end; the outcome."""
        begin = time.monotonic()
        boot_timeout, timeout = timeouts(self._setup)
        process = self._start()
        timed_out, boot_seconds = None, None
        try:
            if not await self._booting(lambda: "booted" in self._result.records, boot_timeout):
                timed_out = "boot"
            elif "booted" in self._result.records:
                boot_seconds = time.monotonic() - begin
                # Loading modules and mounting belong to the boot, and have its time once more.
                if not await self._booting(
                    lambda: "started" in self._result.records or self._over(), boot_timeout
                ):
                    timed_out = "boot"
                elif not await self._arriving(self._over, timeout + GRACE):
                    timed_out = "run"
            if not timed_out:
                await self._arriving(self._has_everything, GRACE)
                self._answer()
                await self._wait(lambda: not self._open, POWER_OFF)
        finally:
            process.kill()
            process.wait()
            self._drain()
            for stream in self._outputs.values():
                self._show(stream.rest())
        result, console = self._result, self._text("console")
        if "booted" not in result.records and process.returncode not in (0, -signal.SIGKILL):
            complaint = self._text("stderr").strip().splitlines() or [f"exit status {process.returncode}"]
            raise Failed(f"{QEMU} failed: {complaint[-1]}")
        status, what, why = judge(result.records, result.ended, console, timed_out)
        if what == "no-start" and self._setup.image.modules is None and "No such device" in why:
            why += "; it may be in a module, and this kernel's are not here"
        return Outcome(
            status,
            what,
            why,
            json=result.records.get("json") if result.ended else None,
            findings=[line for lines in findings(console) for line in lines],
            release=result.records.get("booted", b"").decode(errors="replace"),
            boot_seconds=boot_seconds,
            seconds=time.monotonic() - begin,
            console=console,
        )

    def _start(self) -> subprocess.Popen[bytes]:
        if not shutil.which(QEMU):
            raise Failed(f"{QEMU} is missing: install qemu-system-x86, or run tools/setup --vm")
        initrd = os.memfd_create("initramfs")
        ends: dict[str, int] = {}
        try:
            with open(initrd, "wb", closefd=False) as file:
                file.write(initramfs(self._setup))
            for name in self.CHANNELS:
                self._reading[name], ends[name] = sockets() if name in self.ANSWERED else os.pipe()
            stderr = ends["stderr"]
            inherited = {name: end for name, end in ends.items() if name != "stderr"}
            # Not through asyncio: its watcher and Popen.kill() take the exit status from each other.
            process = subprocess.Popen(
                command(self._setup, initrd, inherited),
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                pass_fds=[initrd, *inherited.values()],
                preexec_fn=die_with_parent(),
                start_new_session=True,
            )
        finally:
            for end in (initrd, *ends.values()):
                os.close(end)
        loop = asyncio.get_running_loop()
        for name, end in self._reading.items():
            os.set_blocking(end, False)
            self._open.add(name)
            loop.add_reader(end, self._read, name)
        return process

    @property
    def _result(self) -> ResultStream:
        return max(self._streams.values(), key=lambda stream: len(stream.records))

    def _text(self, name: str) -> str:
        return self._texts[name].decode(errors="replace")

    def _over(self) -> bool:
        return self._result.ended or not self._open

    def _has_everything(self) -> bool:
        """Whether the output is here too, which takes a way of its own: init marks its end."""
        ended = not {"exited", "killed"}.isdisjoint(self._result.records)
        return not ended or any(stream.ended for stream in self._outputs.values())

    def _answer(self) -> None:
        """Tells init that it may power off: on both of its ways, as it listens at one."""
        for name in self.ANSWERED:
            if name in self._open:
                with contextlib.suppress(OSError):  # it is gone already
                    os.write(self._reading[name], b"\n")

    def _show(self, data: bytes) -> None:
        if data and self._on_output:
            self._on_output(data)

    def _read(self, name: str) -> None:
        try:
            data = os.read(self._reading[name], 1 << 16)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""  # a socket whose other end left what was sent to it unread
        if not data:
            self._close(name)
        elif name in self._texts:
            self._texts[name] += data
        elif name in self._streams:
            self._streams[name].feed(data)
        else:
            self._show(self._outputs[name].feed(data))
        self._changed.set()

    def _close(self, name: str) -> None:
        asyncio.get_running_loop().remove_reader(self._reading[name])
        os.close(self._reading[name])
        self._open.discard(name)

    def _drain(self) -> None:
        """Reads what is left in the pipes; QEMU has ended, so each has an end."""
        for name in list(self._open):
            os.set_blocking(self._reading[name], True)
            while name in self._open:
                self._read(name)

    async def _booting(self, condition: typing.Callable[[], bool], patience: float) -> bool:
        """As _wait, but the time runs anew from each sign of life on the console, five times at most."""
        give_up = time.monotonic() + 5 * patience
        while True:
            lines = len(self._texts["console"])
            left = min(patience, give_up - time.monotonic())
            if await self._wait(condition, left):
                return True
            if len(self._texts["console"]) == lines or time.monotonic() >= give_up:
                return False

    async def _arriving(self, condition: typing.Callable[[], bool], patience: float) -> bool:
        """As _wait, but goes on for as long as a result is on its way, however large it is."""
        while not await self._wait(condition, patience):
            received, patience = self._result.received, GRACE
            if not await self._wait(lambda: self._result.received > received, GRACE):
                return condition()
        return True

    async def _wait(self, condition: typing.Callable[[], bool], patience: float) -> bool:
        """Waits until the condition holds or the guest has ended; False if neither came about in time."""
        deadline = time.monotonic() + patience
        while not condition() and self._open:
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), max(0, deadline - time.monotonic()))
            except asyncio.TimeoutError:
                return condition()
        return True
