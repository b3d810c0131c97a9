"""One run of one guest in QEMU, and what came of it.

Everything goes through pipes and memory: the initramfs is a memfd; the kernel's console, the program's output
and the result of src/guest/init.cpp are pipes that QEMU has as /dev/fd/N; the disk's overlay is a file that
QEMU unlinks when it has opened it. So nothing is left in the file system, whatever ends this process. QEMU
itself asks the kernel to be killed with the thread that started it (PR_SET_PDEATHSIG), which also works when
that is killed with SIGKILL.

A guest is believed only if its result ends with the end marker and its checksum is right. A panic under
panic=-1 and -no-reboot ends QEMU with status 0, so that status says nothing.
"""

import asyncio
import ctypes
import dataclasses
import math
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time
import zlib

from kernel import cpio, disk, modules
from kernel.common import CANNOT_RUN, ENVIRONMENT, FORBIDDEN, HANG, OK, Failed
from kernel.store import Image

QEMU = "qemu-system-x86_64"
CPUS = 2  # one stalled on 5.6 under emulation
MEMORY = 1024  # MiB
MOUNT_POINT, JSON_FILE = "/mnt", "/run/result.json"  # as in src/guest/init.cpp
STARTED = "filemap-init: the program starts"  # as in src/guest/init.cpp

# Seconds without a line on the console until init speaks; in all, five times as many. Emulated guests took 2 to 5
# seconds to init on a machine of their own, and up to 80 beside a dozen compilers.
BOOT_TIMEOUT = {"kvm": 30, "tcg": 120}
TIMEOUT = {"kvm": 600, "tcg": 1800}  # seconds for the program; a loop of it has a time-out of its own
# no_timer_check: on a busy machine the timer of an emulated guest can miss the moment in which the kernel looks
# for it, which then panics: "IO-APIC + timer doesn't work!" (in 3 of 40 boots beside a dozen compilers).
KERNEL_OPTIONS = "console=ttyS0 loglevel=7 panic=-1 random.trust_cpu=on no_timer_check"
ROUND_TIMEOUT = "60s"  # of an emulated guest; 10 s is the program's own, for a machine that is its own
GRACE = 20  # seconds from the program's time-out, told by init, to giving the guest up
POWER_OFF = 3  # seconds from the end marker to not waiting any longer


@dataclasses.dataclass
class Setup:
    """What to run in a guest."""

    image: Image
    filesystem: str
    program: pathlib.Path
    init: pathlib.Path
    arguments: list
    accelerator: str = "tcg"
    timeout: float | None = None  # seconds
    boot_timeout: float | None = None  # seconds
    memory: int = MEMORY
    json: bool = True  # whether the program takes --dir, --json and --progress
    attach_disk: bool = True


@dataclasses.dataclass
class Outcome:
    """What came of a guest."""

    status: int  # as kernel-run's exit status
    what: str  # one word
    why: str  # one line; empty when the word says all
    json: bytes | None = None
    findings: list = dataclasses.field(default_factory=list)  # lines of the kernel's log
    release: str = ""  # of the kernel that ran, as it says itself
    boot_seconds: float | None = None  # from QEMU's start to init
    seconds: float = 0  # from QEMU's start to the verdict
    console: str = ""


class ResultStream:
    """Reads the records "NAME LENGTH\\nBYTES\\n" that init sends, as they come."""

    def __init__(self):
        self.records = {}
        self.ended = False
        self._buffer = b""
        self._checksum = 0

    def feed(self, data):
        self._buffer += data
        while not self.ended and (record := self._next()):
            name, value, size = record
            if name == "end":
                self.ended = value == b"%08x" % self._checksum
                self._buffer = b""  # if the checksum is wrong, nothing that follows is believed either
                return
            self._checksum = zlib.crc32(self._buffer[:size], self._checksum)
            self._buffer = self._buffer[size:]
            self.records[name] = value

    def _next(self):
        head, newline, _ = self._buffer.partition(b"\n")
        match = re.fullmatch(rb"(\w+) (\d+)", head)
        if not newline or not match:
            return None
        start, length = len(head) + 1, int(match[2])
        if self._buffer[start + length : start + length + 1] != b"\n":
            return None  # not all of it is here, or it is damaged
        return match[1].decode(), self._buffer[start : start + length], start + length + 1


# --- the verdict ----------------------------------------------------------------------------------

PANIC = re.compile(r"Kernel panic - not syncing.*")
OOPS = re.compile(
    r"(?<!watchdog: )BUG: (?!soft lockup).*|Oops: .*|Oops\[.*|general protection fault.*|kernel BUG at .*"
)
WARNING = re.compile(
    r"WARNING: .*|INFO: task .* blocked for more than .*|.*\bio_uring\b.*(?:error|fail|overflow|leak).*|"
    r"watchdog: BUG: soft lockup.*|rcu: INFO: .*stall.*|.*[Cc]orruption.*|.*I/O error.*"
)


def findings(console):
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


def last_line(console):
    lines = [line.strip() for line in console.replace("\r", "").splitlines() if line.strip()]
    return lines[-1][:200] if lines else "nothing"


def judge(records, ended, console, timed_out):
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


def program_verdict(records):
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


def with_tests(arguments):
    """(the arguments, {path in the guest: contents}): litmus tests that are files here go along."""
    there, files = [], {}
    for argument in arguments:
        if argument.endswith(".litmus") and os.path.isfile(argument):
            path = f"tests/{len(files)}/{os.path.basename(argument)}"
            files[path] = pathlib.Path(argument).read_bytes()
            argument = f"/{path}"
        there.append(argument)
    return there, files


def experiment_file(setup, loaded):
    """/experiment of the guest, which src/guest/init.cpp reads."""
    records = [("module", f"/modules/{name}") for name, _ in loaded]
    if setup.arguments is not None:
        argv = ["/program", *with_tests(setup.arguments)[0]]
        if setup.json:
            argv += ["--dir", MOUNT_POINT, "--json", JSON_FILE, "--progress", "never"]
            if setup.accelerator == "tcg" and not any(word.startswith("--round-timeout") for word in argv):
                argv += ["--round-timeout", ROUND_TIMEOUT]
        records += [("filesystem", setup.filesystem), ("timeout", str(math.ceil(timeouts(setup)[1])))]
        records += [("argument", argument) for argument in argv]
    return b"".join(f"{name}={value}".encode() + b"\0" for name, value in records)


def timeouts(setup):
    """(for the boot, for the program), in seconds."""
    return (
        setup.boot_timeout or BOOT_TIMEOUT[setup.accelerator],
        setup.timeout or TIMEOUT[setup.accelerator],
    )


def initramfs(setup):
    loaded = modules.for_guest(setup.image.modules, setup.filesystem)
    files = {"init": setup.init.read_bytes(), "experiment": experiment_file(setup, loaded)}
    if setup.arguments is not None:
        files |= {"program": setup.program.read_bytes(), **with_tests(setup.arguments)[1]}
    files |= {f"modules/{name}": data for name, data in loaded}
    return cpio.archive(files)


def disk_options(setup):
    """QEMU's options for the disk: one file on each controller that the kernel may have a driver for.

    Each has an overlay of its own, and init mounts only one of them.
    """
    if setup.filesystem == "tmpfs" or setup.arguments is None or not setup.attach_disk:
        return []
    path, _ = disk.image(setup.filesystem)
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


def command(setup, initrd, pipes):
    """QEMU's command line. `pipes` are file descriptors by channel."""
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
    for name, pipe in pipes.items():
        line += ["-chardev", f"file,id={name},path=/dev/fd/{pipe}"]
    # The first serial port is the console; the others serve kernels without virtio_console.
    for name in ("console", "output2", "result2"):
        line += ["-serial", f"chardev:{name}"]
    for name in ("output", "result"):
        line += ["-device", f"virtserialport,chardev={name},name=filemap.{name}"]
    return line + disk_options(setup)


def die_with_parent():
    """Called in the child: the kernel kills it when the thread that made it is gone."""
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def in_child():
        libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            os._exit(1)

    return in_child


class Guest:
    """A running guest."""

    CHANNELS = ("console", "output", "result", "output2", "result2", "stderr")

    def __init__(self, setup, on_output=None):
        self._setup = setup
        self._on_output = on_output
        self._texts = {"console": bytearray(), "stderr": bytearray()}
        self._streams = {"result": ResultStream(), "result2": ResultStream()}
        self._changed = asyncio.Event()
        self._reading = {}  # channel → the end to read from
        self._open = set()  # the channels that have not ended

    async def run(self):
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
                elif not await self._wait(self._over, timeout + GRACE):
                    timed_out = "run"
            if not timed_out:
                await self._wait(lambda: not self._open, POWER_OFF)
        finally:
            process.kill()
            process.wait()
            self._drain()
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

    def _start(self):
        if not shutil.which(QEMU):
            raise Failed(f"{QEMU} is missing: install qemu-system-x86, or run tools/setup --vm")
        initrd = os.memfd_create("initramfs")
        ends = {}
        try:
            with open(initrd, "wb", closefd=False) as file:
                file.write(initramfs(self._setup))
            for name in self.CHANNELS:
                self._reading[name], ends[name] = os.pipe()
            stderr = ends["stderr"]
            pipes = {name: end for name, end in ends.items() if name != "stderr"}
            # Not through asyncio: its watcher and Popen.kill() take the exit status from each other.
            process = subprocess.Popen(
                command(self._setup, initrd, pipes),
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                pass_fds=[initrd, *pipes.values()],
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
    def _result(self):
        return max(self._streams.values(), key=lambda stream: len(stream.records))

    def _text(self, name):
        return self._texts[name].decode(errors="replace")

    def _over(self):
        return self._result.ended or not self._open

    def _read(self, name):
        try:
            data = os.read(self._reading[name], 1 << 16)
        except BlockingIOError:
            return
        if not data:
            self._close(name)
        elif name in self._texts:
            self._texts[name] += data
        elif name in self._streams:
            self._streams[name].feed(data)
        elif self._on_output:
            self._on_output(data)
        self._changed.set()

    def _close(self, name):
        asyncio.get_running_loop().remove_reader(self._reading[name])
        os.close(self._reading[name])
        self._open.discard(name)

    def _drain(self):
        """Reads what is left in the pipes; QEMU has ended, so each has an end."""
        for name in list(self._open):
            os.set_blocking(self._reading[name], True)
            while name in self._open:
                self._read(name)

    async def _booting(self, condition, patience):
        """As _wait, but the time runs anew from each sign of life on the console, five times at most."""
        give_up = time.monotonic() + 5 * patience
        while True:
            lines = len(self._texts["console"])
            left = min(patience, give_up - time.monotonic())
            if await self._wait(condition, left):
                return True
            if len(self._texts["console"]) == lines or time.monotonic() >= give_up:
                return False

    async def _wait(self, condition, patience):
        """Waits until the condition holds or the guest has ended; False if neither came about in time."""
        deadline = time.monotonic() + patience
        while not condition() and self._open:
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), max(0, deadline - time.monotonic()))
            except asyncio.TimeoutError:
                return condition()
        return True
