#!/usr/bin/env python3
"""Searches the orders of each example and compares what it is told with expected.txt.

    examples/examples_test.py PROGRAM FOLDER [NAME…]      NAME: only the tests that have it in their name

FOLDER is the build folder that has the examples in C++; those in Rust are built into it, with the
distribution's cargo and tokio. Prints TAP.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import typing

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "src/app"), str(HERE.parent / "tools")]

import tap  # noqa: E402 pylint: disable=wrong-import-position
from command_line import PATIENCE, Case  # noqa: E402 pylint: disable=wrong-import-position

REGISTRY = "/usr/share/cargo/registry"  # where the distribution has its crates
FEW = "20"  # runs, in which each broken one must be found
REPLAYS = int(os.environ.get("FILEMAP_REPLAYS", "5"))
folder = pathlib.Path()  # main() sets it


@dataclasses.dataclass
class Expected:
    """A line of expected.txt."""

    broken: str
    pair: list[str]
    may_fail_as_it_is: bool
    mended: str


def read_expected() -> dict[str, Expected]:
    expected = {}
    for line in (HERE / "expected.txt").read_text(encoding="ascii").splitlines():
        if line and not line.startswith("#"):
            name, broken, earlier, later, as_it_is, mended = line.split()
            expected[name] = Expected(broken, [earlier, later], as_it_is == "may", mended)
    return expected


@dataclasses.dataclass
class Finding:
    """How it ended, how often of how often, the line that repeats it; of an order which two decide."""

    end: str
    confirmed: tuple[int, int]
    replay: list[str]
    pair: list[str]  # "read($TMPDIR/log, 8 bytes) by cat/2"
    in_this_order: tuple[int, int]
    in_the_other: tuple[int, int]


@dataclasses.dataclass
class Told:
    """What a search has told."""

    by_order: Finding | None
    by_time: Finding | None
    unconfirmed: Finding | None
    fails_as_it_is: bool
    finished: bool
    runs: int
    diverged: int


def finding_in(found: typing.Any) -> Finding | None:
    if found is None:
        return None

    def counted(confirmation: typing.Any) -> tuple[int, int]:
        return confirmation["bad"], confirmation["runs"]

    def told(call: typing.Any) -> str:
        return f"{call['operation']}({call['file']},) by {call['thread']}/{call['thread_number']}"

    pair = found["pair"]
    return Finding(
        end=found["state"],
        confirmed=counted(found["confirmed"]),
        replay=found["replay"],
        pair=[told(found["calls"][pair[which]]) for which in ("earlier", "later")] if pair else [],
        in_this_order=counted(pair["in_this_order"]) if pair else (0, 0),
        in_the_other=counted(pair["in_the_other"]) if pair else (0, 0),
    )


def told_by(text: str) -> Told:
    """Reads the results."""
    found = json.loads(text)["exploration"]
    return Told(
        by_order=finding_in(found["by_order"]),
        by_time=finding_in(found["by_time"]),
        unconfirmed=finding_in(found["unconfirmed"]),
        fails_as_it_is=found["fails_as_it_is"],
        finished=found["complete_of_each_file"],
        runs=found["runs"],
        diverged=found["diverged"],
    )


def is_it(told: str, expected: str) -> bool:
    """ "read($TMPDIR/log, 8 bytes) by cat/2" is "fstat|read:log"."""
    operations, _, file = expected.partition(":")
    return re.match(rf"({operations})\(\$TMPDIR/{re.escape(file)}[,)]", told) is not None


@functools.lru_cache(maxsize=None)
def rust_examples() -> pathlib.Path | str:
    """Where they are; or why there are none."""
    path = os.pathsep.join(
        ["/usr/bin", os.environ["PATH"]]
    )  # before any that somebody has installed beside it
    if shutil.which("cargo", path=path) is None:
        return "there is no cargo"
    if not list(pathlib.Path(REGISTRY).glob("tokio-1.*")):
        return "the distribution's tokio is not installed (librust-tokio-dev)"
    # cargo writes beside its Cargo.toml.
    sources = folder / "rust"
    for file in [HERE / "Cargo.toml", *HERE.glob("*/*.rs")]:
        copy = sources / file.relative_to(HERE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, copy)
    subprocess.run(
        ["cargo", "build", "--quiet", "--offline"]
        + ["--config", 'source.crates-io.replace-with="distribution"']
        + ["--config", f'source.distribution.directory="{REGISTRY}"']
        + ["--target-dir", str(sources / "target")],
        cwd=sources,
        env={**os.environ, "PATH": path, "CARGO_HOME": str(sources / "home")},
        check=True,
        timeout=2 * PATIENCE,
    )
    return sources / "target/debug"


class Examples(Case):
    """Of each example there are two tests, which expected.txt gives it."""

    def command_of(self, name: str, state: str) -> list[str]:
        (source,) = (HERE / name).glob(f"{state}.*")
        if source.suffix == ".cpp":
            return [str(folder / f"{name}-{state}")]
        if source.suffix == ".rs":
            built = rust_examples()
            if isinstance(built, str):
                self.skipTest(built)
            return [str(built / f"{name}-{state}")]
        interpreters = {".py": sys.executable, ".sh": "/bin/sh", ".js": shutil.which("node")}
        interpreter = interpreters[source.suffix]
        if interpreter is None:
            self.skipTest("there is no node")
        return [interpreter, str(source)]

    def search(self, limit: str, command: list[str], expect: int) -> Told:
        # None of them hangs, but machines are busy.
        search = ["--explore", "--explore-limit", limit, "--run-timeout", "1m", "--json", "-"]
        run = self.run_here(*search, "--", *command, expect=expect)
        return told_by(run.text)

    def check_broken(self, name: str, expected: Expected) -> None:
        command = self.command_of(name, "broken")
        told = self.search(FEW, command, expect=1 if expected.broken == "order" else 0)
        self.assertLessEqual(told.runs, int(FEW))
        finding = told.by_order if expected.broken == "order" else told.by_time
        assert finding is not None, told
        if expected.broken == "order":
            self.assertEqual(told.fails_as_it_is and not expected.may_fail_as_it_is, False, told)
            for operation, right in zip(finding.pair, expected.pair, strict=True):
                self.assertTrue(is_it(operation, right), told)
            who = [operation.rpartition(" by ")[2] for operation in finding.pair]
            self.assertNotEqual(*who)
            self.assertEqual((finding.in_this_order, finding.in_the_other), ((20, 20), (0, 20)), told)
        else:
            self.assertIsNone(told.by_order, told)
        self.assertEqual(finding.confirmed, (20, 20), told)
        self.replay(finding)

    def replay(self, finding: Finding) -> None:
        """The line that was printed comes to the same end, each time."""
        self.assertEqual(finding.replay[1], "--replay")
        ends = []
        for _ in range(REPLAYS):
            run = self.run_program(*finding.replay[1:])
            self.assertEqual((run.status, run.err), (1, b""), run.text)
            ends.append(run.text.splitlines()[2])
        self.assertEqual(ends, [finding.end] * REPLAYS)
        self.assert_nothing_left()

    def check_mended(self, name: str, expected: Expected) -> None:
        command = self.command_of(name, "mended")
        told = self.search("40" if expected.mended == "time" else "200", command, expect=0)
        self.assertIsNone(told.by_order, told)
        self.assertIsNone(told.unconfirmed, told)
        if expected.mended == "nothing":
            self.assertIsNone(told.by_time, told)
            self.assertTrue(told.finished, told)
            self.assertEqual(told.diverged, 0, told)
        elif told.by_time is not None:
            self.assertEqual(told.by_time.confirmed, (20, 20), told)


def add_tests() -> None:
    """The tests are methods with the names of the examples."""
    checks: dict[str, typing.Callable[[Examples, str, Expected], None]] = {
        "broken": Examples.check_broken,
        "mended": Examples.check_mended,
    }
    for name, expected in read_expected().items():
        for state, check in checks.items():

            def test(
                self: Examples,
                check: typing.Callable[[Examples, str, Expected], None] = check,
                name: str = name,
                expected: Expected = expected,
            ) -> None:
                check(self, name, expected)

            setattr(Examples, f"test_{name.replace('-', '_')}_{state}", test)


class Table(Case):
    """expected.txt itself."""

    def test_has_each_example_in_both_states(self) -> None:
        examples = {path.parent.name for path in HERE.glob("*/broken.*")}
        self.assertEqual(examples, {path.parent.name for path in HERE.glob("*/mended.*")})
        self.assertEqual(examples, set(read_expected()))


def main() -> int:
    global folder  # pylint: disable=global-statement
    if len(sys.argv) < 3 or sys.argv[1].startswith("-"):
        print(__doc__)
        return 2
    Case.program, folder = os.path.abspath(sys.argv[1]), pathlib.Path(sys.argv[2]).resolve()
    add_tests()
    return tap.run(tap.tests_of(sys.modules["__main__"], sys.argv[3:]))


if __name__ == "__main__":
    sys.exit(main())
