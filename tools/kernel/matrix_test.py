from __future__ import annotations

import asyncio
import dataclasses
import json
import pathlib
import tempfile
import typing
import unittest

from kernel import matrix
from kernel.common import CANNOT_RUN, FORBIDDEN, HANG, OK
from kernel.guest import Outcome
from kernel.store import Image

OLD, NEW = (
    Image(name, version, pathlib.Path("/nowhere", name), None)
    for name, version in (("5.10.0-46-cloud-amd64", "5.10.262"), ("7.3.4", "7.3.4"))
)
MODES = ["uring", "tokio-fs"]


def entry(
    mode: str, verdict: str = "ok", rounds: int = 100, bad: int = 0, why: str | None = None
) -> dict[str, typing.Any]:
    return {
        "mode": mode,
        "flush": False,
        "engine": "uring" if "uring" in mode else "pool",
        "verdict": verdict,
        "cannot_run": why,
        "rounds": rounds,
        "rounds_per_second": 50.0 if rounds else None,
        "violations": {"count": bad},
        "hazards": {"rounds": 3, "unknown_rounds": 0},
    }


def outcome(*entries: dict[str, typing.Any], status: int = OK, what: str = "ok", why: str = "") -> Outcome:
    report = {
        "modes": entries,
        "failure": None,
        "ring": {"substitutions": ["statx by system call"], "features": []},
    }
    return Outcome(
        status,
        what,
        why,
        json=json.dumps(report).encode() if entries else None,
        release="7.3.4",
        boot_seconds=2.0,
        seconds=5.0,
    )


class Matrix(unittest.TestCase):
    def setUp(self) -> None:
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.path = pathlib.Path(temporary.name, "state.json")
        self.booted: list[tuple[str, str, tuple[str, ...]]] = []

    def run_with(
        self,
        answer: typing.Callable[[Image, list[str]], Outcome],
        images: typing.Sequence[Image] = (OLD, NEW),
        jobs: int = 1,
    ) -> list[matrix.Cell]:
        async def boot(image: Image, filesystem: str, modes: list[str]) -> Outcome:
            self.booted.append((image.version, filesystem, tuple(modes)))
            return answer(image, modes)

        state = matrix.State([], "program", self.path)
        return asyncio.run(matrix.run(list(images), ["ext4"], MODES, state, boot, jobs))

    def test_all_modes_of_a_kernel_share_a_boot(self) -> None:
        cells = self.run_with(lambda image, modes: outcome(*map(entry, modes)))
        self.assertEqual(len(self.booted), 2)
        self.assertEqual(
            [(cell.kernel, cell.mode, cell.verdict) for cell in cells],
            [(image.version, mode, "ok") for image in (OLD, NEW) for mode in MODES],
        )

    def test_one_modes_panic_is_not_the_others(self) -> None:
        def answer(_: Image, modes: list[str]) -> Outcome:
            if "uring" in modes:
                return outcome(status=FORBIDDEN, what="panic", why="Kernel panic - not syncing: x")
            return outcome(*map(entry, modes))

        cells = self.run_with(answer, [NEW])
        self.assertEqual([(cell.verdict, cell.status) for cell in cells], [("panic", FORBIDDEN), ("ok", OK)])

    def test_a_kernel_that_does_not_boot_is_booted_once(self) -> None:
        cells = self.run_with(lambda *_: outcome(status=CANNOT_RUN, what="no-boot", why="w"), [NEW])
        self.assertEqual(len(self.booted), 1)
        self.assertEqual([(cell.verdict, cell.why) for cell in cells], [("no-boot", "w")] * 2)

    def test_what_has_no_result_never_reads_as_a_pass(self) -> None:
        for answer in (
            outcome(),
            outcome(entry("uring")),
            outcome(status=HANG, what="hang"),
            outcome(entry("uring", "no-rounds", 0), entry("tokio-fs", "cannot-run", 0, why="no ring")),
        ):
            self.path.unlink(missing_ok=True)
            cells = self.run_with(lambda *_, answer=answer: answer, [NEW])
            self.assertNotEqual(cells[1].status, OK)
            self.assertNotIn(cells[1].verdict, ("ok", "allowed"))
            self.assertNotEqual(matrix.worst([cell.status for cell in cells]), OK)

    def test_it_goes_on_where_it_was_ended(self) -> None:
        def ends_at_new(image: Image, modes: list[str]) -> Outcome:
            if image is NEW:
                raise KeyboardInterrupt
            return outcome(*map(entry, modes))

        with self.assertRaises(KeyboardInterrupt):
            self.run_with(ends_at_new)
        self.booted.clear()
        cells = self.run_with(lambda image, modes: outcome(*map(entry, modes)))
        self.assertEqual([version for version, _, _ in self.booted], ["7.3.4"])
        self.assertEqual(len(cells), 4)

    def test_what_came_to_no_verdict_is_tried_again_the_next_time(self) -> None:
        self.run_with(lambda *_: outcome(status=CANNOT_RUN, what="no-boot"), [OLD])
        cells = self.run_with(lambda image, modes: outcome(*map(entry, modes)), [OLD])
        self.assertEqual([cell.verdict for cell in cells], ["ok", "ok"])

    def test_a_forbidden_outcome_is_the_worst(self) -> None:
        cells = self.run_with(
            lambda image, modes: outcome(entry("uring", "forbidden", bad=7), entry("tokio-fs")), [NEW]
        )
        self.assertEqual(matrix.worst([cell.status for cell in cells]), FORBIDDEN)
        self.assertIn("forbidden, 7 of 100", matrix.as_text(cells, MODES))

    def test_a_cell_of_several_tests_has_the_worst_of_them_and_all_rounds(self) -> None:
        whole = outcome(entry("uring"))
        report = json.loads(whole.json or b"")
        worse = {**report, "modes": [entry("uring", "forbidden", bad=7)]}
        for runs in ([report, worse], [worse, report]):
            both = dataclasses.replace(whole, json=json.dumps({"runs": runs}).encode())
            (cell,) = matrix.cells_of(NEW, "ext4", ["uring"], both)
            self.assertEqual(
                (cell.verdict, cell.status, cell.rounds, cell.bad, cell.rate, cell.hazards),
                ("forbidden", FORBIDDEN, 200, 7, 50.0, 6),
            )
        torn = dataclasses.replace(
            whole, json=json.dumps({"runs": [report, {**report, "modes": []}]}).encode()
        )
        (cell,) = matrix.cells_of(NEW, "ext4", ["uring"], torn)
        self.assertEqual((cell.verdict, cell.status), ("no-result", CANNOT_RUN))

    def test_a_report_without_rounds_is_no_pass(self) -> None:
        searched = dataclasses.replace(outcome(), json=b'{"tests": []}')
        self.assertEqual(matrix.cells_of(NEW, "ext4", ["uring"], searched)[0].status, CANNOT_RUN)

    def test_text_markdown_and_json_have_every_cell(self) -> None:
        cells = self.run_with(lambda image, modes: outcome(*map(entry, modes)))
        self.assertEqual(len(json.loads(matrix.as_json(cells))["cells"]), 4)
        markdown = matrix.as_markdown(cells, MODES).splitlines()
        self.assertEqual([line.count("|") for line in markdown[:4]], [6] * 4)
        self.assertIn("statx by system call", matrix.as_text(cells, MODES))


class Jobs(unittest.TestCase):
    def test_as_many_as_cores_and_memory_allow_but_one_at_least(self) -> None:
        for cpus, free, expected in ((2, 20_000, 1), (16, 100_000, 8), (16, 4_000, 3), (1, 100, 1)):
            self.assertEqual(matrix.jobs_possible(cpus, free), expected)
