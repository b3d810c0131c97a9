from __future__ import annotations

import pathlib
import tempfile
import unittest
import unittest.mock

from kernel import archive, programs
from kernel.common import USAGE, Failed, PrintableBytes, printable


class Printable(unittest.TestCase):
    def test_control_characters_are_shown_not_obeyed(self) -> None:
        self.assertEqual(
            printable("a\x1b[2Jb\x9b31mc\x07\r\x7f\u202e"), r"a\x1b[2Jb\x9b31mc\x07\x0d\x7f\x202e"
        )
        self.assertEqual(printable("tab\tand line\nend, ä, 日本"), "tab\tand line\nend, ä, 日本")

    def test_a_stream_is_escaped_however_it_is_cut(self) -> None:
        sent = "ä\x9b1m日".encode() + b"\x9b\xff\n"
        for size in (1, 2, len(sent)):
            stream = PrintableBytes()
            shown = b"".join(stream.feed(sent[at : at + size]) for at in range(0, len(sent), size))
            self.assertEqual((shown + stream.feed(b"", final=True)).decode(), "ä\\x9b1m日\\x9b\\xff\n")


class Mirror(unittest.TestCase):
    def test_a_mirror_cannot_begin_another_line_of_apts_sources(self) -> None:
        for mirror in (
            "http://a/\nTrusted: yes",
            "http://a/ http://b/",
            "http://a/\x85b",
            "",
            "-o",
            "\x1b[2J",
        ):
            with self.assertRaises(Failed) as raised:
                archive.Archive(mirror)
            self.assertEqual(raised.exception.status, USAGE)
            self.assertTrue(str(raised.exception).isprintable())
        archive.check_mirror("http://a/debian")
        self.assertEqual(archive.mirrors("http://a/debian"), ("http://a/debian", "http://a/debian-security/"))


class Build(unittest.TestCase):
    def test_the_path_of_the_checkout_is_no_script(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder, 'a"; touch "$0.run"; $(touch "$0.run") "')
            (root / "tools").mkdir(parents=True)
            (root / "tools" / "build.sh").write_text('build() { echo "$@" >"$root/said"; }; root=$1\n')
            (root / "tools" / "setup").write_text("#!/bin/sh\n")
            (root / "tools" / "setup").chmod(0o755)
            arguments = [str(root / "tools" / "kernel-run")]
            with unittest.mock.patch.object(programs, "ROOT", root), unittest.mock.patch(
                "sys.argv", arguments
            ):
                self.assertEqual(programs.build(programs.INIT), [root / programs.FOLDER / programs.INIT])
            self.assertIn(programs.INIT, (root / "said").read_text())
            self.assertEqual([path.name for path in root.rglob("*.run")], [])
