from __future__ import annotations

import json
import typing
import unittest

from kernel import catalogue
from kernel.guest import Outcome


def state(text: str, rounds: int, asked_about: bool = False, allowed: bool = True) -> dict[str, typing.Any]:
    return {"state": text, "rounds": rounds, "asked_about": asked_about, "allowed": allowed}


def entry(
    mode: str, *states: dict[str, typing.Any], allowed: int = 2, verdict: str = "ok", why: str | None = None
) -> dict[str, typing.Any]:
    covered = sum(each["allowed"] and each["rounds"] > 0 for each in states)
    return {
        "mode": mode,
        "verdict": verdict,
        "cannot_run": why,
        "rounds": sum(each["rounds"] for each in states),
        "states": list(states),
        "model": {"allowed": ["x"] * allowed, "not_seen": ["x"] * (allowed - covered)} if states else None,
    }


def run(name: str, *entries: dict[str, typing.Any]) -> dict[str, typing.Any]:
    return {"test": {"name": name}, "modes": list(entries), "failure": None}


def runs(*each: dict[str, typing.Any]) -> dict[str, typing.Any]:
    report = {"runs": list(each)} if len(each) != 1 else each[0]
    return catalogue.runs_of(Outcome(0, "ok", "", json=json.dumps(report).encode()))


class Catalogue(unittest.TestCase):
    def test_what_counts_is_how_many_of_the_models_states_were_seen(self) -> None:
        mixtures = entry("sync", *(state(f"mixture {n}", 1) for n in range(3)), allowed=4)
        mixtures["model"] |= {"not_seen": ["x"] * 3}  # the mixtures are one state of the model
        self.assertEqual(catalogue.word_of(mixtures), "1")

    def test_what_was_asked_about_and_what_is_not_allowed_is_marked(self) -> None:
        self.assertEqual(catalogue.word_of(entry("sync", state("a", 9), state("b", 1, True))), "2*")
        self.assertEqual(catalogue.word_of(entry("sync", state("a", 9, allowed=False))), "0!")

    def test_what_did_not_run_reads_as_no_number(self) -> None:
        self.assertEqual(catalogue.word_of(entry("uring", verdict="cannot-run", why="no ring")), "cannot-run")
        self.assertEqual(catalogue.word_of(entry("uring", state("a", 3), verdict="hang")), "hang")
        self.assertEqual(catalogue.word_of(None), "-")

    def test_filesystems_that_are_alike_are_told_once(self) -> None:
        one, two = entry("sync", state("a", 9)), entry("sync", state("a", 9), state("b", 1))
        self.assertEqual(catalogue.cell_of([one, one]), "1 of 2")
        self.assertEqual(catalogue.cell_of([one, two]), "1 2 of 2")

    def test_the_table_has_a_row_for_each_test_and_names_what_is_not_allowed(self) -> None:
        ext4 = runs(run("a", entry("sync", state("s", 5))), run("b", entry("sync", state("s", 5))))
        tmpfs = runs(run("a", entry("sync", state("t=0;", 5, allowed=False))))
        text = catalogue.as_markdown({"ext4": ext4, "tmpfs": tmpfs}, ["a", "b"], ["sync"])
        self.assertEqual(
            text.splitlines(),
            [
                "| test | `sync` |",
                "| --- | --- |",
                "| a | 1 0! of 2 |",
                "| b | 1 - of 2 |",
                "",
                "- a, sync on tmpfs: not allowed: t=0; in 5 of 5 rounds",
            ],
        )


if __name__ == "__main__":
    unittest.main()
