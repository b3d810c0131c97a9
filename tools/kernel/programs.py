"""The program and the init of the guests: the static build of this checkout."""

import os
import pathlib
import subprocess
import sys

from kernel.common import ROOT, USAGE, Failed

FOLDER = "build-static"
PROGRAM, INIT, MISBEHAVE = "src/filemap-uring", "src/filemap-init", "src/misbehave"


def build(*targets):
    """Builds targets of the static build folder; their paths."""
    if subprocess.run([ROOT / "tools" / "setup"], check=False).returncode != 0:
        raise Failed("what building needs is missing (tools/setup says what, above)")
    script = f'. "{ROOT}/tools/build.sh"; build {FOLDER} "$1" -Dstatic=true -Dtests=disabled -Dbench=false'
    for target in targets:
        if (
            subprocess.run(
                ["bash", "-c", script, os.path.abspath(sys.argv[0]), target], check=False
            ).returncode
            != 0
        ):
            raise Failed(f"{target} could not be built")
    return [stripped(ROOT / FOLDER / target) for target in targets]


def stripped(path):
    """A copy without debug information: that is nine tenths of the program, and a guest unpacks what it gets."""
    copy = path.with_name(path.name + ".guest")
    if not copy.exists() or copy.stat().st_mtime_ns <= path.stat().st_mtime_ns:
        temporary = path.with_name(f"{path.name}.{os.getpid()}")
        try:
            subprocess.run(["strip", "--strip-debug", "-o", temporary, path], check=True)
            temporary.replace(copy)
        except (OSError, subprocess.CalledProcessError) as error:
            raise Failed(f"strip {path} failed: {error}") from error
        finally:
            temporary.unlink(missing_ok=True)
    return copy


def static_program(path):
    """A program that the user named: it must run where there are no libraries."""
    path = pathlib.Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Failed(f"--program {path}: {error.strerror}", USAGE) from error
    if data[:4] != b"\x7fELF" or b"/ld-linux" in data[:4096]:
        raise Failed(
            f"--program {path}: a statically linked program is expected; guests have no libraries", USAGE
        )
    return path
