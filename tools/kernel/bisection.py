"""The first bad one of an ordered list of which the first is good and the last is bad.

As git bisect: a tested one is good, bad or skipped (it cannot be told). The middle of what is undecided is
tested next, or what is nearest to the middle if that was skipped. When only skipped ones are left between the
last good and the first bad one, any of them may be the first bad one.
"""

from __future__ import annotations

import dataclasses
import typing

from kernel.common import CANNOT_RUN, ENVIRONMENT, OK

GOOD, BAD, SKIP = "good", "bad", "skip"


def verdict(status: int) -> str:
    """What the exit status of a guest's run says: as git bisect run has it, but a full disk is no verdict."""
    return GOOD if status == OK else SKIP if status in (ENVIRONMENT, CANNOT_RUN) else BAD


@dataclasses.dataclass
class Answer:
    last_good: int
    first_bad: int
    skipped: list[int]  # between the two: each may be the first bad one
    tests: int

    @property
    def exact(self) -> bool:
        return not self.skipped


class Contradiction(Exception):
    """The ends are not what they were said to be."""


def next_index(low: int, high: int, known: typing.Container[int]) -> int | None:
    """The untested index nearest to the middle of (low, high); None when there is none."""
    untested = [index for index in range(low + 1, high) if index not in known]
    nearest = sorted(untested, key=lambda index: (abs(2 * index - low - high), index))
    return nearest[0] if nearest else None


def bisect(count: int, test: typing.Callable[[int], str], check_ends: bool = True) -> Answer:
    """Finds the first bad one of `count`, of which 0 is good and count - 1 is bad.

    `test(index)` returns GOOD, BAD or SKIP and is called once for an index, at most about log2(count) times
    plus two for the ends, when none is skipped.
    """
    if count < 2:
        raise Contradiction("there is nothing between good and bad")
    known: dict[int, str] = {}

    def tested(index: int) -> str:
        known[index] = test(index)
        return known[index]

    if check_ends:
        for end_index, wanted in ((0, GOOD), (count - 1, BAD)):
            found = tested(end_index)
            if found != wanted:
                end = "first" if end_index == 0 else "last"
                raise Contradiction(f"the {end} one is {found}, not {wanted}")
    low, high = 0, count - 1
    while (index := next_index(low, high, known)) is not None:
        found = tested(index)
        if found == GOOD:
            low = index
        elif found == BAD:
            high = index
    return Answer(low, high, list(range(low + 1, high)), len(known))
