"""What filemap-uring in a guest is given beside the user's ARGUMENTS, and what of its words holds outside."""

from __future__ import annotations

import os
import pathlib
import re
import shlex
import typing

from kernel.common import USAGE, Failed

MOUNT_POINT, JSON_FILE = "/mnt", "/run/result.json"  # as in src/guest/init.cpp
ROUND_TIMEOUT = "60s"  # of an emulated guest; 10 s is the program's own, for a machine that is its own

# The options of filemap-uring that leave no room for one of those that are added: these run no rounds, and those
# have no results but text.
SEARCHES = ["--explore", "--explore-limit", "--samples", "--replay"]
TEXTS = ["--replay", "--model-only"]
# What a table of rounds has no cells for.
NOT_ROUNDS = [*SEARCHES, "--model-only", "--check", "--list", "--show", "--probe"]
SET_BY_GUEST = ["-d", "--dir", "--json", "--progress"]
SET_BY_TABLE = ["-m", "--mode", "--compare"]


def has(words: list[str], options: list[str]) -> str | None:
    """The first word that is one of the options, or one with its value (--mode=uring, -muring)."""
    for word in words:
        for option in options:
            is_short = not option.startswith("--") and word.startswith(option) and not word.startswith("--")
            if word == option or word.startswith(option + "=") or is_short:
                return word
    return None


def split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """What is before -- and what is behind it."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:at], arguments[at + 1 :]


def check_for_program(words: list[str]) -> None:
    """Refuses what a guest's own options would be given a second time with."""
    if word := has(words, SET_BY_GUEST):
        raise Failed(f"{word} behind --: the guest has its own; give --json before -- for the results", USAGE)


def check_for_table(words: list[str]) -> None:
    """Refuses what a table of modes and rounds cannot be made with."""
    check_for_program(words)
    if word := has(words, SET_BY_TABLE):
        raise Failed(f"{word} behind --: the table sets it; --mode before -- chooses the modes", USAGE)
    if word := has(words, NOT_ROUNDS):
        raise Failed(f"{word} behind --: the table is of rounds; tools/kernel-run takes {word}", USAGE)


def added(words: list[str], accelerator: str) -> list[list[str]]:
    """The options that a guest adds to the user's, each with its value."""
    runs = not has(words, ["--model-only"])
    options = [["--progress", "never"]]
    if runs:
        options.append(["--dir", MOUNT_POINT])
    if not has(words, TEXTS):
        options.append(["--json", JSON_FILE])
    if accelerator == "tcg" and runs and not has(words, ["--round-timeout", *SEARCHES]):
        options.append(["--round-timeout", ROUND_TIMEOUT])
    return options


def with_tests(words: list[str]) -> tuple[list[str], dict[str, bytes]]:
    """(the arguments, {path in the guest: contents}): litmus tests that are files here go along."""
    there: list[str] = []
    files: dict[str, bytes] = {}
    for word in words:
        if word.endswith(".litmus") and os.path.isfile(word):
            path = f"tests/{len(files)}/{os.path.basename(word)}"
            files[path] = pathlib.Path(word).read_bytes()
            word = f"/{path}"
        there.append(word)
    return there, files


# The lines of a report that have a command for the user to repeat.
COMMAND = re.compile(r"^(Repeat with|Replay|Deadlock) +(\S*(?:/program|filemap-uring) .*)$")


class Repeated:
    """Turns the commands that the program prints in a guest into those that do the same from here.

    `before` is the command line up to the program's arguments, of which `words` are the user's.
    """

    def __init__(self, before: list[str], words: list[str], accelerator: str) -> None:
        self._before = before
        self._added = added(words, accelerator)
        self._paths = dict(zip(with_tests(words)[0], words))
        self._line = b""

    def feed(self, data: bytes) -> bytes:
        """What can be shown of the output so far: whole lines."""
        *lines, self._line = (self._line + data).split(b"\n")
        return b"".join(self._translated(line) + b"\n" for line in lines)

    def rest(self) -> bytes:
        """What was printed behind the last line."""
        line, self._line = self._line, b""
        return self._translated(line)

    def _translated(self, line: bytes) -> bytes:
        match = COMMAND.match(line.decode(errors="surrogateescape"))
        if not match:
            return line
        try:
            words = shlex.split(match[2])[1:]
        except ValueError:
            return line
        for pair in self._added:
            at = next((n for n in range(len(words)) if words[n : n + len(pair)] == pair), None)
            if at is not None:
                del words[at : at + len(pair)]
        command = shlex.join([*self._before, "--", *(self._paths.get(word, word) for word in words)])
        return f"{match[1]:<13} {command}".encode(errors="surrogateescape")


def outside(tool: str, before: list[str], kernel: str) -> list[str]:
    """The command line that asked for a guest, with the kernel named so that it is the same next month."""
    words = [tool]
    follows: typing.Iterator[str] = iter(before)
    for word in follows:
        if word == "--kernel":
            next(follows, None)
            words += [word, kernel]
        elif word.startswith("--kernel="):
            words.append(f"--kernel={kernel}")
        else:
            words.append(word)
    return words
