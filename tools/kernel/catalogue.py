"""Litmus tests × mode × filesystem: the states that were seen, beside those that the model allows."""

from __future__ import annotations

import json
import typing

from kernel.common import printable
from kernel.guest import Outcome


def runs_of(outcome: Outcome) -> dict[str, typing.Any]:
    """{test: its part of the report}, of a guest that ran one test or more."""
    report = json.loads(outcome.json) if outcome.json else {"runs": []}
    return {run["test"]["name"]: run for run in report.get("runs", [report])}


def mode_of(run: typing.Any, mode: str) -> typing.Any:
    return next((entry for entry in run["modes"] if entry["mode"] == mode), None)


def word_of(entry: typing.Any) -> str:
    """How many of the model's states were seen; * one that the test asks about, ! one that is not the model's."""
    if entry is None:
        return "-"
    if entry["verdict"] in ("cannot-run", "hang", "error") or not entry["rounds"]:
        return entry["verdict"]
    states = entry["states"]
    asked_about = "*" if any(state["asked_about"] for state in states) else ""
    forbidden = "!" if any(not state["allowed"] for state in states) else ""
    covered = len(entry["model"]["allowed"]) - len(entry["model"]["not_seen"])
    return f"{covered}{asked_about}{forbidden}"


def cell_of(entries: list[typing.Any]) -> str:
    """A test and mode on each filesystem, in few characters: "1 1 2* 1 of 3", or "1 of 1" where all are alike."""
    words = [word_of(entry) for entry in entries]
    models = [entry["model"] for entry in entries if entry is not None and entry["model"]]
    allowed = f" of {len(models[0]['allowed'])}" if models else ""
    return (words[0] if len(set(words)) == 1 else " ".join(words)) + allowed


def as_markdown(by_filesystem: dict[str, dict[str, typing.Any]], tests: list[str], modes: list[str]) -> str:
    """`by_filesystem` has each filesystem's runs_of()."""
    lines = [["test", *(f"`{mode}`" for mode in modes)]]
    lines.append(["---"] * len(lines[0]))
    for test in tests:
        cells = []
        for mode in modes:
            runs = [runs.get(test) for runs in by_filesystem.values()]
            cells.append(cell_of([run and mode_of(run, mode) for run in runs]))
        lines.append([test, *cells])
    table = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([*table, "", *(f"- {line}" for line in notes(by_filesystem))]).rstrip() + "\n"


def notes(by_filesystem: dict[str, dict[str, typing.Any]]) -> list[str]:
    """What is no count: states that the model does not allow, and why something could not be run."""
    lines: dict[tuple[str, str], list[str]] = {}
    for filesystem, runs in by_filesystem.items():
        for test, run in runs.items():
            for entry in run["modes"]:
                texts = [
                    f"not allowed: {state['state']} in {state['rounds']} of {entry['rounds']} rounds"
                    for state in entry["states"]
                    if not state["allowed"]
                ]
                if entry["cannot_run"]:
                    texts.append(f"cannot run: {entry['cannot_run']}")
                for text in texts:
                    lines.setdefault((test, text), []).append(f"{entry['mode']} on {filesystem}")
            if run["failure"]:
                lines.setdefault((test, run["failure"]["message"]), []).append(filesystem)
    return [printable(f"{test}, {', '.join(where)}: {text}") for (test, text), where in lines.items()]
