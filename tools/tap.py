#!/usr/bin/env python3
"""Runs the unit tests in Python files and prints TAP, as meson reads it.

    tools/tap.py FILE… [--only NAME]      NAME: only the tests that have it in their name
"""

import importlib.util
import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent


class TapResult(unittest.TestResult):
    """Prints each test as it ends, as the Test Anything Protocol has it."""

    number = 0
    skipped_for = None
    problems = ()

    def startTest(self, test):
        super().startTest(test)
        self.skipped_for, self.problems = None, []

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.skipped_for = reason

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.problems.append(f"{subtest}\n{self._exc_info_to_string(err, test)}")

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.problems.append(self._exc_info_to_string(err, test))

    def addError(self, test, err):
        super().addError(test, err)
        self.problems.append(self._exc_info_to_string(err, test))

    def stopTest(self, test):
        super().stopTest(test)
        self.number += 1
        word = "not ok" if self.problems else "ok"
        skip = "" if self.problems or self.skipped_for is None else f" # SKIP {self.skipped_for}"
        print(f"{word} {self.number} - {test.id().partition('.')[2]}{skip}", flush=True)
        for line in "\n".join(self.problems).splitlines():
            print("#", line, flush=True)


def tests_of(module, names):
    """The tests of a module that have one of the names in theirs; all, where there are no names."""
    loaded = unittest.defaultTestLoader.loadTestsFromModule(module)
    return [
        test for group in loaded for test in group if not names or any(name in test.id() for name in names)
    ]


def run(tests):
    """Runs them; the exit status."""
    print(f"1..{len(tests)}", flush=True)
    result = TapResult()
    unittest.TestSuite(tests).run(result)
    return 0 if result.wasSuccessful() else 1


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def main(arguments):
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
