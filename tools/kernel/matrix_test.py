import asyncio
import json
import pathlib
import tempfile
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


def entry(mode, verdict="ok", rounds=100, bad=0, why=None):
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


def outcome(*entries, status=OK, what="ok", why=""):
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
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.path = pathlib.Path(temporary.name, "state.json")
        self.booted = []

    def run_with(self, answer, images=(OLD, NEW), jobs=1):
        async def boot(image, filesystem, modes):
            self.booted.append((image.version, filesystem, tuple(modes)))
            return answer(image, modes)

        state = matrix.State([], "program", self.path)
        return asyncio.run(matrix.run(images, ["ext4"], MODES, state, boot, jobs))

    def test_all_modes_of_a_kernel_share_a_boot(self):
        cells = self.run_with(lambda image, modes: outcome(*map(entry, modes)))
        self.assertEqual(len(self.booted), 2)
        self.assertEqual(
            [(cell.kernel, cell.mode, cell.verdict) for cell in cells],
            [(image.version, mode, "ok") for image in (OLD, NEW) for mode in MODES],
        )

    def test_one_modes_panic_is_not_the_others(self):
        def answer(_, modes):
            if "uring" in modes:
                return outcome(status=FORBIDDEN, what="panic", why="Kernel panic - not syncing: x")
            return outcome(*map(entry, modes))

        cells = self.run_with(answer, [NEW])
        self.assertEqual([(cell.verdict, cell.status) for cell in cells], [("panic", FORBIDDEN), ("ok", OK)])

    def test_a_kernel_that_does_not_boot_is_booted_once(self):
        cells = self.run_with(lambda *_: outcome(status=CANNOT_RUN, what="no-boot", why="w"), [NEW])
        self.assertEqual(len(self.booted), 1)
        self.assertEqual([(cell.verdict, cell.why) for cell in cells], [("no-boot", "w")] * 2)

    def test_what_has_no_result_never_reads_as_a_pass(self):
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
            self.assertNotEqual(matrix.worst(cells), OK)

    def test_it_goes_on_where_it_was_ended(self):
        def ends_at_new(image, modes):
            if image is NEW:
                raise KeyboardInterrupt
            return outcome(*map(entry, modes))

        with self.assertRaises(KeyboardInterrupt):
            self.run_with(ends_at_new)
        self.booted.clear()
        cells = self.run_with(lambda image, modes: outcome(*map(entry, modes)))
        self.assertEqual([version for version, _, _ in self.booted], ["7.3.4"])
        self.assertEqual(len(cells), 4)

    def test_what_came_to_no_verdict_is_tried_again_the_next_time(self):
        self.run_with(lambda *_: outcome(status=CANNOT_RUN, what="no-boot"), [OLD])
        cells = self.run_with(lambda image, modes: outcome(*map(entry, modes)), [OLD])
        self.assertEqual([cell.verdict for cell in cells], ["ok", "ok"])

    def test_a_forbidden_outcome_is_the_worst(self):
        cells = self.run_with(
            lambda image, modes: outcome(entry("uring", "forbidden", bad=7), entry("tokio-fs")), [NEW]
        )
        self.assertEqual(matrix.worst(cells), FORBIDDEN)
        self.assertIn("forbidden, 7 of 100", matrix.as_text(cells, MODES))

    def test_text_markdown_and_json_have_every_cell(self):
        cells = self.run_with(lambda image, modes: outcome(*map(entry, modes)))
        self.assertEqual(len(json.loads(matrix.as_json(cells))["cells"]), 4)
        markdown = matrix.as_markdown(cells, MODES).splitlines()
        self.assertEqual([line.count("|") for line in markdown[:4]], [6] * 4)
        self.assertIn("statx by system call", matrix.as_text(cells, MODES))


class Jobs(unittest.TestCase):
    def test_as_many_as_cores_and_memory_allow_but_one_at_least(self):
        for cpus, free, expected in ((2, 20_000, 1), (16, 100_000, 8), (16, 4_000, 3), (1, 100, 1)):
            self.assertEqual(matrix.jobs_possible(cpus, free), expected)
