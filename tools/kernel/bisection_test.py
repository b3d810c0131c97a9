from __future__ import annotations

import contextlib
import importlib.machinery
import importlib.util
import io
import os
import pathlib
import tempfile
import types
import unittest
import unittest.mock

from kernel.bisection import BAD, GOOD, SKIP, Answer, Contradiction, bisect, verdict
from kernel.archive import Kernel
from kernel.common import ROOT, Failed
from kernel.guest import Outcome
from kernel.store import Image


class Bisection(unittest.TestCase):
    def run_on(self, verdicts: list[str]) -> tuple[Answer, list[int]]:
        asked: list[int] = []

        def test(index: int) -> str:
            asked.append(index)
            return verdicts[index]

        return bisect(len(verdicts), test), asked

    def test_every_place_is_found_in_logarithmically_many_boots(self) -> None:
        for count in range(2, 70):
            for first_bad in range(1, count):
                answer, asked = self.run_on([GOOD] * first_bad + [BAD] * (count - first_bad))
                self.assertEqual(
                    (answer.last_good, answer.first_bad, answer.exact), (first_bad - 1, first_bad, True)
                )
                self.assertEqual(len(asked), len(set(asked)))
                self.assertLessEqual(len(asked), 2 + (count - 2).bit_length())

    def test_skips_are_stepped_around(self) -> None:
        answer, _ = self.run_on([GOOD, GOOD, SKIP, SKIP, GOOD, BAD, SKIP, BAD])
        self.assertEqual((answer.last_good, answer.first_bad, answer.skipped), (4, 5, []))

    def test_skips_at_the_boundary_leave_a_choice(self) -> None:
        answer, _ = self.run_on([GOOD, GOOD, SKIP, SKIP, BAD, BAD])
        self.assertEqual(
            (answer.last_good, answer.first_bad, answer.skipped, answer.exact), (1, 4, [2, 3], False)
        )

    def test_when_all_between_are_skipped_it_ends(self) -> None:
        answer, asked = self.run_on([GOOD, *[SKIP] * 9, BAD])
        self.assertEqual((answer.last_good, answer.first_bad, len(asked)), (0, 10, 11))

    def test_ends_that_are_not_as_said_are_told(self) -> None:
        for verdicts in ([BAD, BAD], [GOOD, GOOD], [SKIP, BAD], [GOOD, SKIP]):
            with self.assertRaises(Contradiction):
                self.run_on(verdicts)

    def test_a_hang_is_bad_and_what_cannot_be_told_is_skipped(self) -> None:
        self.assertEqual([verdict(status) for status in (0, 1, 4, 125, 3)], [GOOD, BAD, BAD, SKIP, SKIP])


def command(name: str) -> types.ModuleType:
    """A command of tools as a module."""
    loader = importlib.machinery.SourceFileLoader(name, str(ROOT / "tools" / name))
    spec = importlib.util.spec_from_loader(name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


class Command(unittest.TestCase):
    """tools/kernel-bisect on an archive and guests that are made up."""

    def test_a_kernel_that_cannot_be_downloaded_is_skipped_and_tried_again(self) -> None:
        bisect_command = command("kernel-bisect")
        listed = [Kernel(f"6.{n}.0-cloud", f"6.{n}.0", "sid", 1, ("x=1",)) for n in range(6)]
        here = pathlib.Path("/nowhere")
        asked: list[str] = []

        def fetch(kernel: Kernel, _: object) -> tuple[Image, bool]:
            if kernel.version in ("6.0.0", "6.3.0"):
                raise Failed(f"{kernel.release} could not be downloaded: 404  Not Found")
            return Image(kernel.release, kernel.version, here, None), True

        class Booter:
            """Guests are bad from 6.4 on."""

            def __init__(self, _: object) -> None:
                pass

            def choose_accelerator(self, image: Image) -> str:
                return f"by {image.version}"

            async def __call__(self, image: Image, *_: object) -> Outcome:
                asked.append(image.version)
                bad = image.version >= "6.4"
                return Outcome(1 if bad else 0, "forbidden" if bad else "ok", "")

        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            for where, name, value in (
                (bisect_command.store, "fetch", fetch),
                (bisect_command.store, "fetched", lambda: []),
                (bisect_command.boot, "Booter", Booter),
                (bisect_command.Archive, "kernels", lambda self: listed),
            ):
                stack.enter_context(unittest.mock.patch.object(where, name, value))
            said = stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
            stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
            log = os.path.join(folder, "log")
            arguments = ["--good", "6.1", "--bad", "6.5", "--log", log]
            self.assertEqual(bisect_command.run(arguments), 125)
            self.assertRegex(said.getvalue(), r"6\.3\.0.* skip +no-image: .*404")
            self.assertRegex(said.getvalue(), r"(?s)last good +6\.2\.0.*one of these.*6\.3\.0.*6\.4\.0")
            self.assertNotIn("6.3.0", pathlib.Path(log).read_text(encoding="utf-8"))
