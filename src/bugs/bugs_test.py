#!/usr/bin/env python3
"""What a bisection relies on: each program's exit status and its last line say the same.

    src/bugs/bugs_test.py PROGRAM…
"""

import re
import subprocess
import sys
import tempfile
import unittest

PROGRAMS: "list[str]" = []


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(arguments, capture_output=True, text=True, timeout=240, check=False)


class Bugs(unittest.TestCase):
    def test_the_status_is_what_the_last_line_says(self) -> None:
        for program in PROGRAMS:
            with self.subTest(program=program), tempfile.TemporaryDirectory() as directory:
                ran = run(program, directory)
                if ran.returncode == 125:  # no O_DIRECT or RWF_NOWAIT there
                    self.assertEqual((ran.stdout, len(ran.stderr.splitlines())), ("", 1))
                    continue
                self.assertEqual(ran.stderr, "")
                last = ran.stdout.splitlines()[-1]
                match = re.fullmatch(r"Observation \S+ (Never|Sometimes|Always) (\d+) (\d+)", last)
                assert match is not None, last
                self.assertEqual(ran.returncode, 0 if match[1] == "Never" else 1)
                self.assertEqual(match[1] == "Never", match[2] == "0")
                self.assertGreater(int(match[2]) + int(match[3]), 0, "it looked at nothing")

    def test_usage_and_the_environment_are_no_verdict(self) -> None:
        for program in PROGRAMS:
            with self.subTest(program=program):
                for arguments, status in (((), 2), (("--help",), 2), (("/nonexistent",), 3)):
                    ran = run(program, *arguments)
                    self.assertEqual((ran.returncode, ran.stdout), (status, ""))
                    self.assertEqual(len(ran.stderr.splitlines()), 1, ran.stderr)


if __name__ == "__main__":
    PROGRAMS = sys.argv[1:]
    unittest.main(argv=sys.argv[:1])
