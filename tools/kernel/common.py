"""Errors, folders, versions, progress and what is shown."""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import json
import os
import pathlib
import re
import sys
import traceback
import typing

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

# Exit statuses, as the program's own. 126 and 127 are never used: git bisect run takes them for a
# command that cannot be started, and aborts in a confusing way.
OK, FORBIDDEN, USAGE, ENVIRONMENT, HANG, CANNOT_RUN, INTERRUPTED = 0, 1, 2, 3, 4, 125, 130


class Failed(Exception):
    """One line for the user, and the exit status that says so."""

    def __init__(self, message: str, status: int = ENVIRONMENT) -> None:
        super().__init__(message)
        self.status = status


def cache(*parts: str) -> pathlib.Path:
    """A folder below the user's cache folder, made if it is not there."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = pathlib.Path(base, "filemap-uring", *parts)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Failed(
            f"{folder}: {error.strerror}; set XDG_CACHE_HOME to a folder you may write to"
        ) from error
    return folder


@contextlib.contextmanager
def locked(path: pathlib.Path) -> typing.Iterator[None]:
    """Keeps other processes out of what `path` names, until the block ends or this process does."""
    with open(path, "a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def replace(path: pathlib.Path, data: bytes | str) -> None:
    """Writes a file as a whole or not at all: a reader never sees a part of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(data if isinstance(data, bytes) else data.encode())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_json(path: pathlib.Path, default: typing.Any) -> typing.Any:
    """The contents of a JSON file that a tool keeps for itself; the default where there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return default


def version_key(text: str) -> tuple[list[int], int, list[int]]:
    """Orders versions by their numbers: 6.2 before 6.12, 6.19-rc3 before 6.19."""
    numbers = [int(digits) for digits in re.findall(r"\d+", re.sub(r"[-~]rc\d+", "", text))]
    candidate = re.search(r"[-~]rc(\d+)", text)
    return numbers[:3], int(candidate.group(1)) if candidate else 1 << 30, numbers[3:]


def series(version: str) -> str:
    """6.12 of 6.12.117."""
    return ".".join(re.findall(r"\d+", version)[:2])


def seconds(text: str) -> float:
    """Seconds in 90, 90s, 5m or 2h."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|h)?", text)
    if not match or float(match.group(1)) == 0:
        raise ValueError(f"'{text}': a time is expected, such as 90s, 5m or 2h")
    return float(match.group(1)) * {"s": 1, "m": 60, "h": 3600}[match.group(2) or "s"]


def words(text: str) -> list[str]:
    """a,b as a list; empty words are left out."""
    return [word for word in text.split(",") if word]


CONTROLS = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """A text that a guest or a log had a hand in, as a terminal may have it: no control characters (C0 but line
    ends and tabs, DEL, C1), which could move its cursor or answer for the user, and none that reorder a line.
    """
    return CONTROLS.sub(lambda match: f"\\x{ord(match.group()):02x}", text)


class PrintableBytes:
    """The same of a stream of UTF-8 that comes in pieces; what is no UTF-8 is escaped too."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")

    def feed(self, data: bytes, final: bool = False) -> bytes:
        """The part of it that can be shown; `final` when nothing more comes."""
        return printable(self._decoder.decode(data, final)).encode()


class Progress:
    """What is going on, on standard error: rewritten in place on a terminal, not at all elsewhere."""

    def __init__(self, stream: typing.TextIO = sys.stderr) -> None:
        self._stream = stream
        self._terminal = stream.isatty()

    def show(self, text: str) -> None:
        if self._terminal:
            width = os.get_terminal_size(self._stream.fileno()).columns or 80
            self._stream.write(f"\r\033[K{text[:width - 1]}")
            self._stream.flush()

    def clear(self) -> None:
        if self._terminal:
            self._stream.write("\r\033[K")
            self._stream.flush()


def main(
    name: str,
    run: typing.Callable[[list[str]], int],
    own_status: typing.Callable[[int], int] = lambda status: status,
) -> typing.NoReturn:
    """Runs a command's function and exits: one line for each error, 130 when interrupted.

    `own_status` has the last word on the status of an error that is the tool's own.
    """
    complaint: Exception | None = None
    try:
        status = run(sys.argv[1:])
        sys.stdout.flush()
    except Failed as error:
        complaint, status = error, own_status(error.status)
    except KeyboardInterrupt:
        status = INTERRUPTED
    except SystemExit as error:  # of argparse, which has said why
        status = own_status(error.code) if isinstance(error.code, int) and error.code else OK
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains at exit
        status = own_status(ENVIRONMENT)
    except OSError as error:
        complaint, status = error, own_status(ENVIRONMENT)
    except Exception:  # pylint: disable=broad-except
        # A mistake in this tool. Python's own status for it is 1, which is a verdict here.
        traceback.print_exc()
        status = own_status(ENVIRONMENT)
    if complaint:
        print(f"tools/{name}: {printable(str(complaint))}", file=sys.stderr)
    sys.exit(status)
