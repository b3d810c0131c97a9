#!/usr/bin/env python3
"""Counts the test cases of the last `meson test` of a build folder, for tools/test.

    tools/test_results.py BUILD-FOLDER        prints: PASSED FAILED SKIPPED

A GoogleTest case and a TAP line count one each, any other meson test counts one. It runs no tests.

Two files are needed. testlog.junit.xml has the cases, but meson 1.0 writes a test that timed out there
as if it had passed, and one that crashed not at all or with the cases of an earlier run (tools/test
removes those beforehand). testlog.json has the verdict on each meson test, but no cases.
"""

from __future__ import annotations

import collections
import json
import pathlib
import re
import sys
import typing
from xml.etree import ElementTree

PASSED = {"OK", "EXPECTEDFAIL"}
SKIPPED = {"SKIP", "IGNORED"}


def verdicts(logs: pathlib.Path) -> dict[str, list[str]]:
    """The results ("OK", "FAIL", "TIMEOUT", …) of each meson test by name; several with --repeat."""
    results: dict[str, list[str]] = collections.defaultdict(list)
    for log in logs.glob("testlog*.json"):
        for line in log.read_text(encoding="utf-8").splitlines():
            run = json.loads(line)
            results[run["name"]].append(run["result"])
    return results


def cases(logs: pathlib.Path, names: typing.Iterable[str]) -> dict[str, list[str]]:
    """The results of the GoogleTest and TAP cases of each meson test by name."""
    results: dict[str, list[str]] = collections.defaultdict(list)
    for log in logs.glob("testlog*.junit.xml"):
        # meson copies a test's output as it is, also characters that XML 1.0 does not allow.
        text = re.sub(rb"[\0-\x08\x0b\x0c\x0e-\x1f]", b"?", log.read_bytes())
        for suite in ElementTree.fromstring(text).iter("testsuite"):
            # PROJECT.TEST for TAP, PROJECT.TEST.GTEST-SUITE for GoogleTest, PROJECT for all others.
            test = suite.get("name", "").partition(".")[2] + "."
            owner = max((name for name in names if test.startswith(name + ".")), key=len, default=None)
            if owner:
                results[owner] += map(case_result, suite.iter("testcase"))
    return results


def case_result(case: ElementTree.Element) -> str:
    if case.find("failure") is not None or case.find("error") is not None:
        return "FAIL"
    if case.find("skipped") is not None or case.get("status") == "notrun":
        return "SKIP"
    return "OK"


def count(build: str) -> collections.Counter[str]:
    """The counter of "passed", "failed" and "skipped" of a build folder."""
    logs = pathlib.Path(build, "meson-logs")
    by_test = verdicts(logs)
    by_case = cases(logs, by_test)
    counter: collections.Counter[str] = collections.Counter()
    for name, results in by_test.items():
        bad = [result for result in results if result not in PASSED | SKIPPED]
        counted = by_case.get(name, results)
        if bad and "FAIL" not in counted and counted is not results:
            counted = counted + bad[:1]  # no case failed, but the test did: a crash, a leak at exit
        for result in counted:
            kind = "passed" if result in PASSED else "skipped" if result in SKIPPED else "failed"
            counter[kind] += 1
    return counter


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print(__doc__)
        sys.exit(0 if sys.argv[1:] in (["-h"], ["--help"]) else 2)
    total = count(sys.argv[1])
    print(total["passed"], total["failed"], total["skipped"])
