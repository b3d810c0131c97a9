#!/usr/bin/env python3
"""Runs the unit tests in Python files and prints TAP, as meson reads it.

    tools/tap.py FILE… [--only NAME]      NAME: only the tests that have it in their name
"""

import importlib.util
import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "src" / "app")]

from command_line_test import TapResult  # noqa: E402 pylint: disable=wrong-import-position


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def main(arguments):
    only = ""
    if "--only" in arguments[:-1]:
        at = arguments.index("--only")
        only = arguments[at + 1]
        del arguments[at : at + 2]
    if not arguments or arguments[0].startswith("-"):
        print(__doc__)
        return 2
    modules = [load(pathlib.Path(path).resolve()) for path in arguments]
    tests = [
        test
        for module in modules
        for group in unittest.defaultTestLoader.loadTestsFromModule(module)
        for test in group
        if only in test.id()
    ]
    print(f"1..{len(tests)}", flush=True)
    result = TapResult()
    unittest.TestSuite(tests).run(result)
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
