"""Writes the "newc" cpio archives that Linux unpacks as its first filesystem.

The format: Documentation/driver-api/early-userspace/buffer-format.rst in Linux's sources. A member is a
header of 110 bytes (a magic number and 13 numbers of 8 hexadecimal digits), its name ended by a NUL, and
its data, the latter two padded to 4 bytes. A member named TRAILER!!! is the last.
"""

from __future__ import annotations

import stat

HEADER = "070701" + "{:08X}" * 13


def member(number: int, name: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)) -> bytes:
    encoded = name.encode() + b"\0"
    links = 2 if stat.S_ISDIR(mode) else 1
    fields = (number, mode, 0, 0, links, 0, len(data), 0, 0, *device, len(encoded), 0)
    head = HEADER.format(*fields).encode() + encoded
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


def archive(files: dict[str, bytes]) -> bytes:
    """The archive of {path: contents}, all executable, with the folders that the paths are in.

    It has /dev/console too: without it the kernel says that it cannot open an initial console.
    """
    folders = {"dev"}
    for path in files:
        names = path.split("/")[:-1]
        folders |= {"/".join(names[:n]) for n in range(1, len(names) + 1)}
    members: list[tuple[str, int, bytes, tuple[int, int]]] = [
        (folder, stat.S_IFDIR | 0o755, b"", (0, 0)) for folder in sorted(folders)
    ]
    members += [("dev/console", stat.S_IFCHR | 0o600, b"", (5, 1))]
    members += [(path, stat.S_IFREG | 0o755, data, (0, 0)) for path, data in files.items()]
    parts = [member(number, *rest) for number, rest in enumerate(members, start=1)]
    return b"".join(parts) + member(0, "TRAILER!!!", 0)
