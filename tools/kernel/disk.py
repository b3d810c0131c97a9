"""Disk images with a filesystem, made once and kept pristine.

A guest writes to a temporary overlay (QEMU's snapshot=on, a file that QEMU unlinks as soon as it has
opened it), so images are shared by all guests and nothing is left whatever kills a guest.
"""

import hashlib
import os
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
IF_KNOWN = {
    "ext4": [["-O", "^metadata_csum_seed,^orphan_file"]],
    "xfs": [
        ["-i", "nrext64=0"],
        ["-i", "nrext64=0,exchange=0"],
        ["-i", "nrext64=0,exchange=0", "-n", "parent=0"],
    ],
    "btrfs": [],
}
FILESYSTEMS = [*MAKE, "tmpfs"]


def tool(filesystem):
    """The path of the command that makes a filesystem; often outside a user's PATH."""
    name = MAKE[filesystem][0]
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if not found:
        raise Failed(f"{name} is missing: install {PACKAGE[filesystem]}, or run tools/setup --vm")
    return found


def candidates(filesystem):
    """[(command, image)] to try, the most careful command first."""
    base = [tool(filesystem), *MAKE[filesystem][1:]]
    tried = []
    for more in [*reversed(IF_KNOWN[filesystem]), []]:
        command = base + more
        tag = hashlib.sha256(f"{SIZE} {command[1:]}".encode()).hexdigest()[:12]
        tried.append((command, cache("disks") / f"{filesystem}-{tag}.img"))
    return tried


def image(filesystem):
    """(path, options): the pristine image, made if it is not there, and the options it was made with."""
    tried = candidates(filesystem)
    with locked(cache("disks") / f"{filesystem}.lock"):
        for command, path in tried:
            if path.exists():
                return path, " ".join(command[1:])
        for command, path in tried:
            error = make(command, path)
            if error is None:
                return path, " ".join(command[1:])
    raise Failed(f"{' '.join(tried[-1][0])} failed: {error}")


def make(command, path):
    """Makes an image; the reason if it could not be."""
    temporary = path.with_suffix(".part")
    try:
        with open(temporary, "wb") as file:
            file.truncate(SIZE)
        done = subprocess.run(
            [*command, temporary], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        if done.returncode != 0:
            return " ".join(done.stdout.split())[:300] or f"exit status {done.returncode}"
        temporary.replace(path)
        return None
    finally:
        temporary.unlink(missing_ok=True)
