"""The program and the init of the guests: the static build of this checkout."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

from kernel.common import ROOT, USAGE, Failed

FOLDER = "build-static"
PROGRAM, INIT, MISBEHAVE = "src/filemap-uring", "src/filemap-init", "src/misbehave"
CONFORMANCE = "src/engine-conformance-test"

# $0 is the command that the messages name. The checkout's path is an argument: it must not be a script's text.
SCRIPT = '. "$1/tools/build.sh" && build "${@:2}"'


def build(*targets: str) -> list[pathlib.Path]:
    """Builds targets of the static build folder; their paths."""
    stage = ["--tests"] if CONFORMANCE in targets else []
    if subprocess.run([ROOT / "tools" / "setup", *stage], check=False).returncode != 0:
        raise Failed("what building needs is missing (tools/setup says what, above)")
    # Debug information would be nine tenths of the program, and a guest unpacks what it gets.
    options = ["-Dstatic=true", "-Ddebug=false", "-Dbench=false", *(["-Dtests=enabled"] if stage else [])]
    for target in targets:
        command = ["bash", "-c", SCRIPT, os.path.abspath(sys.argv[0]), str(ROOT), FOLDER, target, *options]
        if subprocess.run(command, check=False).returncode != 0:
            raise Failed(f"{target} could not be built")
    return [ROOT / FOLDER / target for target in targets]


def static_program(name: str) -> pathlib.Path:
    """A program that the user named: it must run where there are no libraries."""
    path = pathlib.Path(name)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Failed(f"--program {path}: {error.strerror}", USAGE) from error
    if data[:4] != b"\x7fELF" or b"/ld-linux" in data[:4096]:
        raise Failed(
            f"--program {path}: a statically linked program is expected; guests have no libraries", USAGE
        )
    return path
