"""Disk images with a filesystem, made once and kept pristine.

A guest writes to a temporary overlay (QEMU's snapshot=on, a file that QEMU unlinks as soon as it has
opened it), so images are shared by all guests and nothing is left whatever kills a guest.
"""

from __future__ import annotations

import hashlib
import os
import pathlib
import shutil
import subprocess

from kernel.common import Failed, cache, locked

SIZE = 1 << 30  # bytes; sparse

# Options that the oldest supported kernel, 5.4, mounts. What newer ones would turn on by default:
# ext4: orphan_file (5.15) and metadata_csum_seed (4.4, but GRUB-averse) are left out by name;
# xfs: bigtime and inobtcount (5.10), rmapbt, nrext64 (5.19), exchange (6.10), parent (6.10);
# btrfs: free-space-tree (default since btrfs-progs 5.15) is known since 4.5, block-group-tree is 6.1.
MAKE = {
    "ext4": ["mkfs.ext4", "-q", "-F"],
    "xfs": ["mkfs.xfs", "-q", "-f", "-m", "bigtime=0,inobtcount=0,rmapbt=0"],
    "btrfs": ["mkfs.btrfs", "-q", "-f"],
}
PACKAGE = {"ext4": "e2fsprogs", "xfs": "xfsprogs", "btrfs": "btrfs-progs"}
# Newer tools have features that are to be turned off by name, older ones do not know the name.
IF_KNOWN: dict[str, list[list[str]]] = {
    "ext4": [["-O", "^metadata_csum_seed,^orphan_file"]],
    "xfs": [
        ["-i", "nrext64=0"],
        ["-i", "nrext64=0,exchange=0"],
        ["-i", "nrext64=0,exchange=0", "-n", "parent=0"],
    ],
    "btrfs": [],
}
FILESYSTEMS = [*MAKE, "tmpfs"]
# The options whose value is a list of settings, "NAME=VALUE" or "FEATURE" or "^FEATURE"; they are taken once.
LISTS: dict[str, set[str]] = {"ext4": {"-O"}, "xfs": {"-m", "-i", "-n"}, "btrfs": set()}


def tool(filesystem: str) -> str:
    """The path of the command that makes a filesystem; often outside a user's PATH."""
    name = MAKE[filesystem][0]
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if not found:
        raise Failed(f"{name} is missing: install {PACKAGE[filesystem]}, or run tools/setup --vm")
    return found


def joined(words: list[str], more: list[str], lists: set[str]) -> list[str]:
    """The options of both; of settings that both have, those of `more`."""

    def name_of(setting: str) -> str:
        return setting.partition("=")[0].lstrip("^")

    result, rest = list(words), list(more)
    while rest:
        option = rest.pop(0)
        if option not in lists or option not in result or not rest:
            result.append(option)
            continue
        at = result.index(option) + 1
        settings = rest.pop(0).split(",")
        names = {name_of(setting) for setting in settings}
        kept = [setting for setting in result[at].split(",") if name_of(setting) not in names]
        result[at] = ",".join(kept + settings)
    return result


def candidates(filesystem: str, asked: list[str]) -> list[tuple[list[str], pathlib.Path]]:
    """[(command, image)] to try, the most careful command first; `asked` are options of the user's."""
    base = [tool(filesystem), *MAKE[filesystem][1:]]
    tried = []
    none: list[str] = []
    for more in [*reversed(IF_KNOWN[filesystem]), none]:
        command = joined(joined(base, more, LISTS[filesystem]), asked, LISTS[filesystem])
        tag = hashlib.sha256(f"{SIZE} {command[1:]}".encode()).hexdigest()[:12]
        tried.append((command, cache("disks") / f"{filesystem}-{tag}.img"))
    return tried


def image(filesystem: str, asked: list[str] | None = None) -> tuple[pathlib.Path, str]:
    """(path, options): the pristine image, made if it is not there, and the options it was made with.

    `asked` are options of the user's for the tool that makes it, beside ours.
    """
    tried = candidates(filesystem, asked or [])
    with locked(cache("disks") / f"{filesystem}.lock"):
        for command, path in tried:
            if path.exists():
                return path, " ".join(command[1:])
        for command, path in tried:
            error = make(command, path)
            if error is None:
                return path, " ".join(command[1:])
    raise Failed(f"{' '.join(tried[-1][0])} failed: {error}")


def make(command: list[str], path: pathlib.Path) -> str | None:
    """Makes an image; the reason if it could not be."""
    temporary = path.with_suffix(".part")
    try:
        with open(temporary, "wb") as file:
            file.truncate(SIZE)
        done = subprocess.run(
            [*command, temporary], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if done.returncode != 0:
            return " ".join(done.stdout.split())[:300] or f"exit status {done.returncode}"
        temporary.replace(path)
        return None
    finally:
        temporary.unlink(missing_ok=True)
