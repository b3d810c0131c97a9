"""Kernel modules: what they need, and the order in which to load them.

Packages have no modules.dep (depmod makes it where they are installed), so the needs are read from the
modules themselves: the section .modinfo has NUL-ended "name=value" strings, of which "depends" lists other
modules and "softdep" says "pre: …" and "post: …" (modprobe.d(5)). A name that no file has is built in.
"""

from __future__ import annotations

import lzma
import pathlib
import re
import shutil
import struct
import subprocess
import typing

from kernel.common import CANNOT_RUN, Failed

SUFFIX = re.compile(r"\.ko(\.(xz|gz|zst))?$")


def module_name(path: pathlib.Path) -> str:
    """crc32c_intel of …/crc32c-intel.ko.xz: file names and modinfo mix - and _."""
    return SUFFIX.sub("", path.name).replace("-", "_")


def find(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """{name: path} of all modules below a folder."""
    return {module_name(path): path for path in sorted(folder.rglob("*.ko*")) if SUFFIX.search(path.name)}


def read(path: pathlib.Path) -> bytes:
    """The module as the kernel takes it: not every kernel unpacks them itself."""
    data = path.read_bytes()
    if path.name.endswith(".xz"):
        return lzma.decompress(data)
    if path.name.endswith((".gz", ".zst")):
        command = "gzip" if path.name.endswith(".gz") else "zstd"
        if not shutil.which(command):
            raise Failed(f"{path}: unpacking it needs {command}, which is not installed")
        return subprocess.run([command, "-dc"], input=data, stdout=subprocess.PIPE, check=True).stdout
    return data


def modinfo(module: bytes) -> list[tuple[str, str]]:
    """The (name, value) pairs of a module's .modinfo section, in a 64-bit little-endian ELF file."""
    if module[:6] != b"\x7fELF\x02\x01":
        raise ValueError("not a 64-bit little-endian ELF file")
    (table,) = struct.unpack_from("<Q", module, 0x28)
    size, count, names_index = struct.unpack_from("<HHH", module, 0x3A)
    sections = [struct.unpack_from("<IIQQQQ", module, table + n * size) for n in range(count)]
    names = sections[names_index][4]
    for at, _, _, _, offset, length in sections:
        if module[names + at :].startswith(b".modinfo\0"):
            strings = module[offset : offset + length].decode(errors="replace").split("\0")
            return [
                (name, value) for name, equals, value in (text.partition("=") for text in strings) if equals
            ]
    return []


def needs(module: bytes) -> tuple[list[str], list[str]]:
    """The modules that are to be loaded before this one: (those it cannot do without, the soft ones)."""
    hard, soft = [], []
    for name, value in modinfo(module):
        if name == "depends":
            hard += [word.replace("-", "_") for word in value.split(",") if word]
        elif name == "softdep":
            before = re.search(r"pre:\s*(.*?)\s*(post:|$)", value)
            soft += [word.replace("-", "_") for word in (before.group(1).split() if before else [])]
    return hard, soft


def in_order(
    wanted: typing.Iterable[str],
    available: typing.Container[str],
    needs_of: typing.Callable[[str], tuple[list[str], list[str]]],
) -> list[str]:
    """The wanted modules and all that they need, each after its needs.

    `available` has the names that exist as files; `needs_of(name)` is (hard, soft). Others are built in.
    """
    order: list[str] = []
    path: list[str] = []

    def visit(name: str, soft: bool) -> None:
        if name not in available or name in order:
            return
        if name in path:
            if soft:
                return
            raise Failed(f"modules need each other: {' → '.join([*path, name])}", CANNOT_RUN)
        path.append(name)
        hard_needs, soft_needs = needs_of(name)
        for need in hard_needs:
            visit(need, soft)
        for need in soft_needs:
            visit(need, True)
        path.pop()
        order.append(name)

    for name in wanted:
        visit(name, False)
    return order


CHANNELS = ["virtio_pci", "virtio_console"]
# The controllers that a guest's disk can be on, by what the drivers are called; the best first.
CONTROLLERS = {"nvme": ["nvme"], "virtio": ["virtio_blk"], "sata": ["ahci", "sd_mod"]}
# Each needs CRC-32C. Where that is a module (crc32c_cryptoapi on 6.16 to 6.18), modules ask for it by an alias,
# which only depmod's tables resolve.
CHECKSUM = ["crc32c_generic", "crc32c_cryptoapi"]
FILESYSTEMS: dict[str, list[str]] = {
    "ext4": [*CHECKSUM, "ext4"],
    "xfs": [*CHECKSUM, "xfs"],
    "btrfs": [*CHECKSUM, "btrfs"],
    "tmpfs": [],
}


def built_in(folder: pathlib.Path) -> set[str]:
    """The names of the modules that are part of the kernel's image, where modules.builtin tells."""
    return {
        SUFFIX.sub("", line.rpartition("/")[2]).replace("-", "_")
        for path in folder.rglob("modules.builtin")
        for line in path.read_text("utf-8").split()
    }


def controllers(folder: pathlib.Path | None) -> list[str]:
    """Where to attach a disk: on a controller that has a driver, or on each where nobody can tell."""
    if folder is None:
        return list(CONTROLLERS)
    known = built_in(folder) | set(find(folder))
    usable = [name for name, drivers in CONTROLLERS.items() if known.issuperset(drivers)]
    return usable[:1] or list(CONTROLLERS)


def for_guest(folder: pathlib.Path | None, filesystem: str) -> list[tuple[str, bytes]]:
    """[(file name, contents)] of what a guest must load for a filesystem, in order."""
    if folder is None:
        return []
    found = find(folder)
    contents: dict[str, bytes] = {}

    def load(name: str) -> bytes:
        if name not in contents:
            contents[name] = read(found[name])
        return contents[name]

    wanted = list(CHANNELS)
    if filesystem != "tmpfs":
        wanted += [driver for controller in controllers(folder) for driver in CONTROLLERS[controller]]
    wanted += FILESYSTEMS[filesystem]
    order = in_order(wanted, found, lambda name: needs(load(name)))
    return [(f"{name}.ko", load(name)) for name in order]
