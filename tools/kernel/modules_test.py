from __future__ import annotations

import lzma
import pathlib
import struct
import tempfile
import unittest

from kernel import modules
from kernel.common import Failed


def elf_with_modinfo(strings: list[str]) -> bytes:
    """A 64-bit ELF file of three sections: none, .modinfo, and the sections' names."""
    info = b"".join(text.encode() + b"\0" for text in strings)
    names = b"\0.modinfo\0.shstrtab\0"
    table = 64 + len(info) + len(names)
    header = bytearray(64)
    header[:6] = b"\x7fELF\x02\x01"
    struct.pack_into("<Q", header, 0x28, table)
    struct.pack_into("<HHH", header, 0x3A, 64, 3, 2)

    def section(name: int, offset: int, size: int) -> bytes:
        return struct.pack("<IIQQQQ", name, 1, 0, 0, offset, size) + bytes(24)

    sections = section(0, 0, 0) + section(1, 64, len(info)) + section(10, 64 + len(info), len(names))
    return bytes(header) + info + names + sections


class Needs(unittest.TestCase):
    def test_depends_and_soft_dependencies_are_read(self) -> None:
        module = elf_with_modinfo(
            ["license=GPL", "depends=libcrc32c,raid6-pq", "softdep=pre: crc32c-cryptoapi a post: z"]
        )
        self.assertEqual(modules.needs(module), (["libcrc32c", "raid6_pq"], ["crc32c_cryptoapi", "a"]))

    def test_no_dependencies_are_none(self) -> None:
        self.assertEqual(modules.needs(elf_with_modinfo(["depends="])), ([], []))

    def test_what_is_no_module_is_refused(self) -> None:
        with self.assertRaises(ValueError):
            modules.modinfo(b"#!/bin/sh\n" * 20)


class Order(unittest.TestCase):
    def order(
        self, wanted: list[str], graph: dict[str, list[str]], soft: dict[str, list[str]] | None = None
    ) -> list[str]:
        return modules.in_order(wanted, graph, lambda name: (graph[name], (soft or {}).get(name, [])))

    def test_each_comes_after_its_needs_and_once(self) -> None:
        graph: dict[str, list[str]] = {
            "btrfs": ["xor", "raid6"],
            "xor": ["lib"],
            "raid6": ["lib"],
            "lib": [],
        }
        self.assertEqual(self.order(["btrfs", "xor"], graph), ["lib", "xor", "raid6", "btrfs"])

    def test_what_no_file_has_is_built_in(self) -> None:
        self.assertEqual(self.order(["ext4", "xfs"], {"xfs": ["crc32c"]}), ["xfs"])

    def test_soft_needs_come_first_too(self) -> None:
        graph: dict[str, list[str]] = {"btrfs": [], "crc32c_cryptoapi": []}
        self.assertEqual(
            self.order(["btrfs"], graph, {"btrfs": ["crc32c_cryptoapi", "gone"]}),
            ["crc32c_cryptoapi", "btrfs"],
        )

    def test_a_soft_circle_is_allowed_a_hard_one_is_told(self) -> None:
        self.assertEqual(self.order(["a"], {"a": [], "b": ["a"]}, {"a": ["b"]}), ["b", "a"])
        with self.assertRaisesRegex(Failed, "a → b → a"):
            self.order(["a"], {"a": ["b"], "b": ["a"]})


class Files(unittest.TestCase):
    def setUp(self) -> None:
        self._temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self._temporary.cleanup)
        self.folder = pathlib.Path(self._temporary.name)

    def put(self, name: str, data: bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def test_compressed_modules_are_unpacked_and_found_by_their_own_name(self) -> None:
        self.put("kernel/fs/xfs/xfs.ko.xz", lzma.compress(elf_with_modinfo(["depends=libcrc32c"])))
        self.put("kernel/lib/libcrc32c.ko", elf_with_modinfo(["depends="]))
        self.put("modules.builtin", b"kernel/drivers/nvme/host/nvme.ko\n")
        loaded = modules.for_guest(self.folder, "xfs")
        self.assertEqual([name for name, _ in loaded], ["libcrc32c.ko", "xfs.ko"])
        self.assertTrue(all(data.startswith(b"\x7fELF") for _, data in loaded))

    def test_the_disk_is_on_a_controller_that_has_a_driver(self) -> None:
        self.assertEqual(modules.controllers(None), ["nvme", "virtio", "sata"])
        self.assertEqual(modules.controllers(self.folder), ["nvme", "virtio", "sata"])
        self.put("kernel/drivers/block/virtio_blk.ko", b"")
        self.assertEqual(modules.controllers(self.folder), ["virtio"])
        self.put("modules.builtin", b"kernel/drivers/nvme/host/nvme.ko\n")
        self.assertEqual(modules.controllers(self.folder), ["nvme"])
