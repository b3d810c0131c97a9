#!/usr/bin/env python3
"""Runs the unit tests in Python files and prints TAP, as meson reads it.

    tools/tap.py FILE… [--only NAME]      NAME: only the tests that have it in their name
"""

from __future__ import annotations

import importlib.util
import pathlib
import sys
import traceback
import types
import typing
import unittest

Error = typing.Any  # what sys.exc_info() gives
HERE = pathlib.Path(__file__).resolve().parent


def text_of(error: Error) -> str:
    return "".join(traceback.format_exception(*error))


class TapResult(unittest.TestResult):
    """Prints each test as it ends, as the Test Anything Protocol has it."""

    def __init__(self) -> None:
        super().__init__()
        self.number = 0
        self.skipped_for: str | None = None
        self.problems: list[str] = []

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self.skipped_for, self.problems = None, []

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        super().addSkip(test, reason)
        self.skipped_for = reason

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Error | None) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.problems.append(f"{subtest}\n{text_of(err)}")

    def addFailure(self, test: unittest.TestCase, err: Error) -> None:
        super().addFailure(test, err)
        self.problems.append(text_of(err))

    def addError(self, test: unittest.TestCase, err: Error) -> None:
        super().addError(test, err)
        self.problems.append(text_of(err))

    def stopTest(self, test: unittest.TestCase) -> None:
        super().stopTest(test)
        self.number += 1
        word = "not ok" if self.problems else "ok"
        skip = "" if self.problems or self.skipped_for is None else f" # SKIP {self.skipped_for}"
        print(f"{word} {self.number} - {test.id().partition('.')[2]}{skip}", flush=True)
        for line in "\n".join(self.problems).splitlines():
            print("#", line, flush=True)


def tests_of(module: types.ModuleType, names: list[str]) -> list[unittest.TestCase]:
    """The tests of a module that have one of the names in theirs; all, where there are no names."""
    loaded = unittest.defaultTestLoader.loadTestsFromModule(module)
    return [
        test
        for group in loaded
        if isinstance(group, unittest.TestSuite)
        for test in group
        if isinstance(test, unittest.TestCase) and (not names or any(name in test.id() for name in names))
    ]


def run(tests: list[unittest.TestCase]) -> int:
    """Runs them; the exit status."""
    print(f"1..{len(tests)}", flush=True)
    result = TapResult()
    unittest.TestSuite(tests).run(result)
    return 0 if result.wasSuccessful() else 1


def load(path: pathlib.Path) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def main(arguments: list[str]) -> int:
    names = []
    if "--only" in arguments[:-1]:
        at = arguments.index("--only")
        names = [arguments[at + 1]]
        del arguments[at : at + 2]
    if not arguments or arguments[0].startswith("-"):
        print(__doc__)
        return 2
    modules = [load(pathlib.Path(path).resolve()) for path in arguments]
    return run([test for module in modules for test in tests_of(module, names)])


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    sys.exit(main(sys.argv[1:]))
