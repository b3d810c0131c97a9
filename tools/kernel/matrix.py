"""Kernel × filesystem × mode: what each guest said, kept as it comes, and the table of it.

A guest runs all modes of a kernel and filesystem in one boot, interleaved by the program. Where that does not
give a verdict for each of them (a panic, a hang, a mode that this kernel cannot run), each is run in a guest
of its own, so that one mode's trouble is not the others'.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
import pathlib
import typing

from kernel import guest
from kernel.common import CANNOT_RUN, ENVIRONMENT, FORBIDDEN, HANG, OK, cache, printable, read_json, replace
from kernel.store import Image


@dataclasses.dataclass
class Cell:
    """The result of a kernel, filesystem and mode."""

    kernel: str  # Linux's version
    release: str  # uname -r
    filesystem: str
    mode: str
    verdict: str  # the program's word, or no-boot, no-start, panic, oops, died, hang, killed, …
    status: int  # as kernel-run's
    why: str = ""
    rounds: int = 0
    bad: int = 0  # rounds with a violation
    hazards: int | None = None  # rounds; None where they cannot be known
    rate: float | None = None  # rounds per second
    substitutions: list[str] = dataclasses.field(default_factory=list)
    features: list[str] = dataclasses.field(default_factory=list)
    findings: list[str] = dataclasses.field(default_factory=list)  # lines of the kernel's log
    boot_seconds: float | None = None
    seconds: float = 0  # of the guest, all modes that it ran together


VERDICT_STATUS = {
    "forbidden": FORBIDDEN,
    "error": ENVIRONMENT,
    "hang": HANG,
    "cannot-run": CANNOT_RUN,
    "no-rounds": CANNOT_RUN,
}


def cells_of(image: Image, filesystem: str, modes: list[str], outcome: guest.Outcome) -> list[Cell]:
    """The cells of a guest that ran some modes. Without the program's result each has the guest's outcome."""
    report = json.loads(outcome.json) if outcome.json else {}
    runs = report.get("runs", [report])  # one of each test
    return [
        worst_of([cell_of(image, filesystem, mode, run, outcome) for run in runs])
        if runs
        else cell_of(image, filesystem, mode, {}, outcome)
        for mode in modes
    ]


def worst_of(cells: list[Cell]) -> Cell:
    """The cell of several tests: the verdict of the worst, and the rounds of all."""
    order = [FORBIDDEN, HANG, ENVIRONMENT, CANNOT_RUN, OK]
    worst_cell = min(
        cells, key=lambda cell: (order.index(cell.status) if cell.status in order else -1, -cell.bad)
    )
    if len(cells) == 1:
        return worst_cell
    known = [cell.hazards for cell in cells if cell.hazards is not None]
    seconds = sum(cell.rounds / cell.rate for cell in cells if cell.rate)
    rounds = sum(cell.rounds for cell in cells)
    return dataclasses.replace(
        worst_cell,
        rounds=rounds,
        bad=sum(cell.bad for cell in cells),
        hazards=sum(known) if len(known) == len(cells) else None,
        rate=rounds / seconds if seconds else None,
    )


def mode_name(entry: typing.Any) -> str:
    return entry["mode"] if "+" in entry["mode"] or not entry["flush"] else entry["mode"] + "+flush"


def cell_of(image: Image, filesystem: str, mode: str, report: typing.Any, outcome: guest.Outcome) -> Cell:
    by_mode = {mode_name(entry): entry for entry in report.get("modes", [])}
    entry = None if outcome.what in ("panic", "oops", "killed") else by_mode.get(mode)
    cell = Cell(
        image.version,
        outcome.release or image.name,
        filesystem,
        mode,
        outcome.what,
        outcome.status,
        outcome.why,
        findings=list(dict.fromkeys(outcome.findings)),
        boot_seconds=outcome.boot_seconds,
        seconds=outcome.seconds,
    )
    if entry is None:
        if outcome.status == OK:  # an "ok" without a result would be a pass that nobody saw
            cell.verdict, cell.status, cell.why = (
                "no-result",
                CANNOT_RUN,
                "the program reported nothing for this mode",
            )
        return cell
    cell.verdict, cell.why = entry["verdict"], entry["cannot_run"] or ""
    cell.status = VERDICT_STATUS.get(entry["verdict"], OK)
    cell.rounds, cell.rate = entry["rounds"], entry["rounds_per_second"]
    cell.bad = entry["violations"]["count"]
    hazards = entry["hazards"]
    cell.hazards = None if hazards["unknown_rounds"] else hazards["rounds"]
    if entry["engine"] == "uring":
        cell.substitutions = report["ring"].get("substitutions", [])
        cell.features = report["ring"].get("features", [])
    if report.get("failure") and cell.status == OK:
        cell.verdict, cell.status, cell.why = "incomplete", outcome.status, report["failure"]["message"]
    return cell


class State:
    """The cells so far, in a file that is written after each guest: a run that was ended goes on from it.

    What came to no verdict then is tried again: perhaps the machine was busy.
    """

    def __init__(
        self, arguments: list[typing.Any], fingerprint: str, path: pathlib.Path | None = None
    ) -> None:
        key = hashlib.sha256(json.dumps([arguments, fingerprint]).encode()).hexdigest()[:16]
        self.path = path or cache("matrix") / f"{key}.json"
        kept = ((tuple(key), Cell(**cell)) for key, cell in read_json(self.path, []))
        self._cells: dict[tuple[str, ...], Cell] = {key: cell for key, cell in kept if is_verdict(cell)}

    def get(self, image: Image, filesystem: str, mode: str) -> Cell | None:
        return self._cells.get((image.name, str(image.path), filesystem, mode))

    def put(self, image: Image, cell: Cell) -> None:
        self._cells[(image.name, str(image.path), cell.filesystem, cell.mode)] = cell

    def save(self) -> None:
        pairs = [(key, dataclasses.asdict(cell)) for key, cell in self._cells.items()]
        replace(self.path, json.dumps(pairs))

    def clear(self) -> None:
        self._cells = {}


def is_verdict(cell: Cell) -> bool:
    return cell.status not in (ENVIRONMENT, CANNOT_RUN) or cell.verdict == "cannot-run"


async def run(
    images: list[Image],
    filesystems: list[str],
    modes: list[str],
    state: State,
    boot: typing.Callable[[Image, str, list[str]], typing.Awaitable[guest.Outcome]],
    jobs: int,
    tell: typing.Callable[[int, int, list[Cell]], None] = lambda done, total, cells: None,
) -> list[Cell]:
    """Runs what is not in the state yet; all cells in the order of the table.

    `boot(image, filesystem, modes)` runs a guest and returns its outcome; at most `jobs` at once.
    """
    pairs = [(image, filesystem) for image in images for filesystem in filesystems]
    slots = asyncio.Semaphore(jobs)
    done = 0

    async def one(image: Image, filesystem: str) -> None:
        nonlocal done
        missing = [mode for mode in modes if state.get(image, filesystem, mode) is None]
        cells: list[Cell] = []
        if missing:
            async with slots:
                cells = cells_of(image, filesystem, missing, await boot(image, filesystem, missing))
                if len(missing) > 1 and any(is_shared_trouble(cell) for cell in cells):
                    cells = [
                        cells_of(image, filesystem, [mode], await boot(image, filesystem, [mode]))[0]
                        for mode in missing
                    ]
                for cell in cells:
                    state.put(image, cell)
                state.save()
        done += 1
        tell(done, len(pairs), cells)

    tasks = [asyncio.ensure_future(one(*pair)) for pair in pairs]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)  # each ends its guest
    asked = [(image, filesystem, mode) for image in images for filesystem in filesystems for mode in modes]
    return [cell for key in asked if (cell := state.get(*key))]  # each is there: the tasks have ended


def is_shared_trouble(cell: Cell) -> bool:
    """Whether a cell has no result of its own because of something that another mode may have done.

    A guest that did not come to run the program has no mode to blame.
    """
    return cell.rounds == 0 and cell.verdict not in ("cannot-run", "no-boot", "no-start")


def jobs_possible(cpus: int | None, free_mib: int, memory: int = guest.MEMORY) -> int:
    """How many guests at once: QEMU takes about 200 MiB beside the guest's memory."""
    return max(1, min((cpus or 1) // guest.CPUS, free_mib // (memory + 200)))


def free_memory() -> int:
    """MiB that processes can have without swapping."""
    with open("/proc/meminfo", encoding="utf-8") as file:
        available = next(line for line in file if line.startswith("MemAvailable:"))
    return int(available.split()[1]) // 1024


# --- the table ------------------------------------------------------------------------------------


def entry_of(cell: Cell) -> str:
    """A cell's entry in the table."""
    words = [cell.verdict]
    if cell.bad:
        words.append(f"{cell.bad:,} of {cell.rounds:,}")
    elif cell.hazards:
        words.append(f"hazards {cell.hazards:,}")
    if cell.rate is not None:
        words.append(f"{cell.rate:,.0f}/s")
    return ", ".join(words)


def text_of(cell: Cell) -> str:
    """A cell in one line."""
    return entry_of(cell) + (f": {cell.why}" if cell.why else "")


def rows_of(cells: list[Cell]) -> list[tuple[str, str, dict[str, Cell]]]:
    """[(kernel, filesystem, {mode: cell})] in the order of the cells."""
    rows: dict[tuple[str, str, str], dict[str, Cell]] = {}
    for cell in cells:
        rows.setdefault((cell.kernel, cell.release, cell.filesystem), {})[cell.mode] = cell
    return [(kernel, filesystem, by_mode) for (kernel, _, filesystem), by_mode in rows.items()]


def notes(cells: list[Cell]) -> list[str]:
    """What the table has no room for: reasons, substitutions and the kernels' logs, each once."""
    lines: dict[str, list[str]] = {}
    for cell in cells:
        why = [f"{cell.verdict}: {cell.why}"] if cell.why else []
        substituted = [f"substituted: {word}" for word in cell.substitutions]
        for text in why + substituted + [line for line in cell.findings if line != cell.why]:
            lines.setdefault(text, []).append(f"{cell.kernel} {cell.filesystem}")
    return [printable(f"{', '.join(dict.fromkeys(where))}: {text}") for text, where in lines.items()]


def as_text(cells: list[Cell], modes: list[str]) -> str:
    head = ["kernel", "fs", *modes, "init, s"]
    body = [
        [kernel, filesystem, *(entry_of(by_mode[mode]) for mode in modes), boot_of(by_mode)]
        for kernel, filesystem, by_mode in rows_of(cells)
    ]
    widths = [max(len(row[n]) for row in [head, *body]) for n in range(len(head))]
    table = [
        "  ".join(word.ljust(width) for word, width in zip(row, widths)).rstrip() for row in [head, *body]
    ]
    return "\n".join([*table, *(f"note: {line}" for line in notes(cells))]) + "\n"


def as_markdown(cells: list[Cell], modes: list[str]) -> str:
    head = ["kernel", "filesystem", *(f"`{mode}`" for mode in modes), "seconds to init"]
    lines = [head, ["---"] * len(head)]
    lines += [
        [
            kernel,
            filesystem,
            *(entry_of(by_mode[mode]).replace("|", "\\|") for mode in modes),
            boot_of(by_mode),
        ]
        for kernel, filesystem, by_mode in rows_of(cells)
    ]
    table = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([*table, "", *(f"- {line}" for line in notes(cells))]).rstrip() + "\n"


def boot_of(by_mode: dict[str, Cell]) -> str:
    known = [cell.boot_seconds for cell in by_mode.values() if cell.boot_seconds is not None]
    return f"{min(known):.1f}" if known else ""


def as_json(cells: list[Cell]) -> str:
    return (
        json.dumps({"schema_version": 1, "cells": [dataclasses.asdict(cell) for cell in cells]}, indent=2)
        + "\n"
    )


def worst(statuses: list[int]) -> int:
    """The exit status of several guests: 1 where something forbidden was seen, then 4, then 125, then 3."""
    for status in (FORBIDDEN, HANG, CANNOT_RUN):
        if status in statuses:
            return status
    return max(statuses, default=OK)
