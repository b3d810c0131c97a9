from __future__ import annotations

import stat
import unittest

from kernel import cpio


class Cpio(unittest.TestCase):
    def test_a_member_is_as_gnu_cpio_writes_it(self) -> None:
        # printf hi >f; touch -d @0 f; chmod 755 f; echo f | cpio -o -H newc -R 0:0, with inode 7.
        expected = (
            b"070701"
            b"00000007"
            b"000081ED"
            b"00000000"
            b"00000000"
            b"00000001"
            b"00000000"
            b"00000002"
            b"00000000"
            b"00000000"
            b"00000000"
            b"00000000"
            b"00000002"
            b"00000000"
            b"f\0"
            b"hi\0\0"
        )
        self.assertEqual(cpio.member(7, "f", stat.S_IFREG | 0o755, b"hi"), expected)

    def test_name_and_data_are_padded_to_four_bytes(self) -> None:
        for length in range(9):
            for size in range(9):
                made = cpio.member(1, "n" * (length + 1), stat.S_IFREG, b"d" * size)
                self.assertEqual(len(made) % 4, 0)
                self.assertEqual(made.count(b"n"), length + 1)
                self.assertTrue(made.endswith(b"d" * size + bytes(-size % 4)))

    def test_folders_come_before_what_is_in_them_and_the_trailer_last(self) -> None:
        made = cpio.archive({"a/b/c": b"1", "init": b"2"})
        places = [made.index(name) for name in (b"a\0", b"a/b\0", b"a/b/c\0", b"init\0", b"TRAILER!!!\0")]
        self.assertEqual(places, sorted(places))
        self.assertTrue(made.endswith(b"TRAILER!!!\0\0\0\0"))

    def test_the_console_is_a_character_device_5_1(self) -> None:
        made = cpio.archive({})
        header = made[made.index(b"dev/console") - cpio.HEADER.count("{") * 8 - 6 :]
        fields = [int(header[6 + 8 * n : 14 + 8 * n], 16) for n in range(13)]
        self.assertEqual((fields[1], fields[9], fields[10]), (stat.S_IFCHR | 0o600, 5, 1))
