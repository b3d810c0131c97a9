#!/usr/bin/env python3
"""Holds the search of commands against a model of a file system, on programs that are drawn.

    src/app/sides_test.py PROGRAM SIDES [NAME…]      NAME: only the tests that have it in their name

SIDES (sides.cpp) is a program of two or three threads or processes that do a few file operations each, and fails
when they see what it is told. The model says what they can see, in which order soever. The search has to find an
order for each of that, where it does not say itself that it has not tried all, and none for anything else.
FILEMAP_PROGRAMS says how many are drawn, FILEMAP_SEED from where on. Prints TAP.
"""

from __future__ import annotations

import dataclasses
import errno
import itertools
import json
import os
import random
import sys
import typing

from command_line import Case, main

PROGRAMS = int(os.environ.get("FILEMAP_PROGRAMS", "16"))
SEED = int(os.environ.get("FILEMAP_SEED", "1"))
DIRECTORY = "d"  # the size of a directory
LINK = "to "  # a symbolic link's, before its target

Operation = tuple[str, ...]  # ("rename", "f", "g")
Program = list[Operation]


class FileSystem:
    """Names and what they name. A call returns what it sees: what it returned, or -errno."""

    def __init__(self) -> None:
        self.names: dict[str, int] = {}
        self.sizes: dict[int, int | str] = {}
        self.memory = 0
        self.posted: dict[int, int] = {}  # to a side

    def copy(self) -> FileSystem:
        other = FileSystem()
        other.names, other.sizes, other.memory = dict(self.names), dict(self.sizes), self.memory
        other.posted = dict(self.posted)
        return other

    def key(self) -> object:
        parts: tuple[dict[typing.Any, typing.Any], ...] = (self.names, self.sizes, self.posted)
        return *(tuple(sorted(part.items())) for part in parts), self.memory

    def without_links(self, name: str) -> str:
        """Where a link leads: its target is its size."""
        first, slash, rest = name.partition("/")
        target = str(self.sizes.get(self.names.get(first, -1), ""))
        return target[len(LINK) :] + slash + rest if target.startswith(LINK) else name

    def is_directory(self, name: str) -> bool:
        return self.sizes[self.names[name]] == DIRECTORY

    def is_empty(self, name: str) -> bool:
        return not any(other.startswith(name + "/") for other in self.names)

    def trouble_on_the_way(self, name: str) -> int:
        folder = name.rpartition("/")[0]
        if not folder:
            return 0
        if folder not in self.names:
            return errno.ENOENT
        return 0 if self.is_directory(folder) else errno.ENOTDIR

    def make(self, name: str, size: int | str) -> int:
        self.names[name] = len(self.sizes)
        self.sizes[self.names[name]] = size
        return self.names[name]

    def first_call(self, what: str, *names: str) -> tuple[int | str, int | None]:
        """What it sees, and which file is open afterwards."""
        if what == "symlink":
            if names[1] in self.names:
                return -errno.EEXIST, None
            self.make(names[1], LINK + names[0])
            return 0, None
        names = tuple(self.without_links(name) if "/" in name or what == "stat" else name for name in names)
        # A link looks for its first name before it looks where the second is to be.
        for name in names[:1] if what == "link" else names:
            if trouble := self.trouble_on_the_way(name):
                return -trouble, None
        if what in OPENS:
            return self.open(what, names[0])
        if what == "mkdir":
            if names[0] in self.names:
                return -errno.EEXIST, None
            self.make(names[0], DIRECTORY)
            return 0, None
        if names[0] not in self.names:
            return -errno.ENOENT, None
        other_calls: dict[str, typing.Callable[..., int | str]] = {
            "stat": self.stat,
            "unlink": self.unlink,
            "rmdir": self.rmdir,
            "rename": self.rename,
            "link": self.link,
        }
        return other_calls[what](*names), None

    def open(self, what: str, name: str) -> tuple[int, int | None]:
        if name not in self.names:
            if what in ("append", "read"):
                return -errno.ENOENT, None
            return 0, self.make(name, 0)
        if what == "exclusive":
            return -errno.EEXIST, None
        if self.is_directory(name) and what != "read":
            return -errno.EISDIR, None
        if what == "truncate":
            self.sizes[self.names[name]] = 0
        return 0, self.names[name]

    def second_call(self, what: str, file: int) -> int:
        size = self.sizes[file]
        if not isinstance(size, int):
            return -errno.EISDIR
        if what == "read":
            return size
        self.sizes[file] = size + 1
        return 0

    def stat(self, name: str) -> int | str:
        return self.sizes[self.names[name]]

    def unlink(self, name: str) -> int:
        if self.is_directory(name):
            return -errno.EISDIR
        del self.names[name]
        return 0

    def rmdir(self, name: str) -> int:
        if not self.is_directory(name):
            return -errno.ENOTDIR
        if not self.is_empty(name):
            return -errno.ENOTEMPTY
        del self.names[name]
        return 0

    def link(self, name: str, other: str) -> int:
        if trouble := self.trouble_on_the_way(other):
            return -trouble
        if other in self.names:
            return -errno.EEXIST
        if self.is_directory(name):
            return -errno.EPERM
        self.names[other] = self.names[name]
        return 0

    def rename(self, name: str, other: str) -> int:
        if self.names.get(other) == self.names[name]:
            return 0
        if other in self.names:
            if self.is_directory(name) and not self.is_directory(other):
                return -errno.ENOTDIR
            if not self.is_directory(name) and self.is_directory(other):
                return -errno.EISDIR
            if not self.is_empty(other):
                return -errno.ENOTEMPTY
        for moved in [each for each in self.names if each == name or each.startswith(name + "/")]:
            self.names[other + moved[len(name) :]] = self.names.pop(moved)
        return 0


OPENS = ("create", "exclusive", "truncate", "append", "read")
GOES_ON = ("append", "read")  # with what is open
IN_MEMORY = ("tell", "ask")


@dataclasses.dataclass(frozen=True)
class Side:
    """Where it stands, and what it has seen."""

    done: int = 0
    file: int | None = None
    seen: str = ""


def step(files: FileSystem, program: Program, side: Side) -> Side:
    """One call, and what it does in memory until the next."""
    what, *names = program[side.done]
    file, seen = None, side.seen
    if side.file is None:
        sees, file = files.first_call(what, *names)
        seen += f"{',' if seen else ''}{sees}"
    else:
        seen += f" {files.second_call(what, side.file)}"
    if file is not None and what in GOES_ON:
        return Side(side.done, file, seen)
    done = side.done + 1
    while done < len(program) and program[done][0] in IN_MEMORY:
        files.memory += program[done][0] == "tell"
        seen += f",{files.memory}"
        done += 1
    return Side(done, None, seen)


def go_on_unasked(files: FileSystem, programs: list[Program], sides: list[Side]) -> list[Side]:
    """Posts, and waits for what has been posted."""
    moved = True
    while moved:
        moved = False
        for i, program in enumerate(programs):
            operation = program[sides[i].done] if sides[i].done < len(program) else ("",)
            if operation[0] == "post":
                files.posted[int(operation[1])] = files.posted.get(int(operation[1]), 0) + 1
            elif operation[0] == "wait" and files.posted.get(i, 0) > 0:
                files.posted[i] -= 1
            else:
                continue
            moved = True
            seen = sides[i].seen + ("," if sides[i].seen else "")
            sides[i] = dataclasses.replace(sides[i], done=sides[i].done + 1, seen=seen)
    return sides


def all_seen(first: Program, programs: list[Program]) -> set[str] | None:
    """By all sides together, in all orders. None: they may wait for each other for good."""
    files, alone = FileSystem(), Side()
    while alone.done < len(first):
        alone = step(files, first, alone)
    seen: set[str] = set()
    known: set[object] = set()

    def go_on(files: FileSystem, sides: list[Side]) -> bool:
        sides = go_on_unasked(files, programs, sides)
        key = files.key(), tuple(sides)
        if key in known:
            return True
        known.add(key)
        if all(side.done == len(program) for side, program in zip(sides, programs)):
            seen.add("".join(side.seen + "|" for side in sides))
            return True
        can_go = [
            i
            for i, program in enumerate(programs)
            if sides[i].done < len(program) and program[sides[i].done][0] != "wait"
        ]
        for i in can_go:
            later = files.copy()
            if not go_on(later, [*sides[:i], step(later, programs[i], sides[i]), *sides[i + 1 :]]):
                return False
        return bool(can_go)

    return seen if go_on(files, [Side() for _ in programs]) else None


@dataclasses.dataclass
class Drawn:
    """A program, and what it is told to fail for."""

    by: str
    first: Program
    sides: list[Program]
    told: str
    can_be: bool

    def command(self) -> list[str]:
        def text(program: Program) -> str:
            return ",".join(" ".join(operation) for operation in program)

        return [self.by, self.told, text(self.first), *map(text, self.sides)]

    def paths(self) -> set[str]:
        operations = itertools.chain(*self.sides)
        names = itertools.chain.from_iterable(operation[1:] for operation in operations)
        return {f"$TMPDIR/{name}" for name in names if not name.isdigit()}

    def uses_memory(self) -> bool:
        return any(operation[0] in IN_MEMORY for operation in itertools.chain(*self.sides))


def draw_operation(draw: random.Random, names: list[str]) -> Operation:
    if any(name.startswith("L/") for name in names) and draw.random() < 0.4:
        return draw.choice((("symlink", "D", "L"), ("symlink", "E", "L"), ("unlink", "L"), ("stat", "L")))
    folders = [name for name in names if name.isupper()]
    files = [name for name in names if not name.isupper()]
    if folders and draw.random() < 0.35:
        if len(folders) > 1 and draw.random() < 0.3:
            return ("rename", *draw.sample(folders, 2))
        return draw.choice(("mkdir", "rmdir", "stat")), draw.choice(folders)
    if len(files) > 1 and draw.random() < 0.3:
        return (draw.choice(("rename", "link")), *draw.sample(files, 2))
    return draw.choice((*OPENS, "stat", "unlink")), draw.choice(files)


def draw_side(draw: random.Random, names: list[str], between: list[Operation]) -> Program:
    side: Program = []
    for _ in range(draw.choice((1, 2, 2, 3))):
        side.append(draw_operation(draw, names))
        if draw.random() < 0.25:
            side.append(draw.choice(between))
    return side


NAMES = (
    ["f"],
    ["f", "g"],
    ["D", "D/f"],
    ["D", "E", "D/f", "E/f"],
    ["f", "D", "D/f"],
    ["D", "E", "D/f", "L/f"],
)


def draw_program(number: int) -> Drawn:
    draw = random.Random(number)
    names = draw.choice(NAMES)
    first: Program = [("mkdir", name) for name in names if name.isupper() and draw.random() < 0.6]
    first += [(draw.choice(("create", "append")), name) for name in names if draw.random() < 0.4]
    count = draw.choice((2, 2, 3))
    # Not both: who is let go on by a post, and what it then sees in memory, is no order of calls.
    in_memory: list[Operation] = [(what,) for what in IN_MEMORY]
    waits: list[Operation] = [("wait",), *(("post", str(side)) for side in range(count))]
    possible = None
    while possible is None:
        between = draw.choice((in_memory, waits))
        sides = [draw_side(draw, names, between) for _ in range(count)]
        possible = all_seen(first, sides)
    seen = sorted(possible)
    told, can_be = draw.choice(seen), True
    if draw.random() < 0.4:  # each side sees what it can, but not in one order
        parts = [draw.choice(seen).split("|")[i] for i in range(len(sides))]
        told = "".join(part + "|" for part in parts)
        can_be = told in seen
    return Drawn(draw.choice(("threads", "processes")), first, sides, told, can_be)


class Sides(Case):
    """One program after the other."""

    sides = ""

    def search(self, program: Drawn) -> typing.Any:
        search = ["--explore", "--explore-limit", "400", "--run-timeout", "1m", "--json", "-"]
        run = self.run_program("--dir", self.dir, *search, "--", self.sides, *program.command())
        self.assertIn(run.status, (0, 1), run.complaint)
        return json.loads(run.text)["exploration"]

    def test_an_order_is_found_for_all_that_can_be_seen_and_for_nothing_else(self) -> None:
        judged = 0
        for number in range(SEED, SEED + PROGRAMS):
            program = draw_program(number)
            with self.subTest(number=number, program=program):
                told = self.search(program)
                self.assertIsNone(told["by_time"])
                if told["unconfirmed"] is not None:
                    continue  # which of two new threads comes first is no order, beside other programs
                if told["by_order"] is not None:
                    self.assertTrue(program.can_be, told)
                    judged += 1
                elif self.tells_all(program, told):
                    self.assertFalse(program.can_be, told)
                    judged += 1
        self.assertGreater(judged, PROGRAMS / 2)

    @staticmethod
    def tells_all(program: Drawn, told: typing.Any) -> bool:
        """Where a file that only one side touches comes in between what is in memory is not tried."""
        if program.uses_memory():
            return told["complete"] and program.paths() <= set(told["files"])
        return bool(told["complete_of_each_file"])


if __name__ == "__main__":
    Sides.sides = os.path.abspath(sys.argv.pop(2)) if len(sys.argv) > 2 else ""
    sys.exit(main(__doc__))
