#!/usr/bin/env python3
"""Checks a result of --json against its schema in docs, for tests and users: of a run, of --explore or of a
COMMAND.

    src/report/check_schema.py FILE        "-": standard input

Prints each disagreement with its place. Exit status: 0 valid, 1 not, 77 python3-jsonschema is missing.
"""

from __future__ import annotations

import json
import pathlib
import sys
import typing

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"


def refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def schema_of(result: typing.Any) -> typing.Any:
    names = result if isinstance(result, dict) else {}
    kind = "command" if "subject" in names else "exploration" if "tests" in names else "result"
    name = f"{kind}.schema.json"
    return json.loads((DOCS / name).read_text(encoding="utf-8"))


def causes(error: typing.Any) -> typing.Iterator[typing.Any]:
    """Of a choice between schemas, what is wrong with the one that fits best: its errors lie deepest."""
    if not error.context:
        yield error
        return
    choices: dict[int, list[typing.Any]] = {}
    for one in error.context:
        choices.setdefault(one.schema_path[0], []).append(one)
    for one in max(choices.values(), key=lambda errors: min(len(each.path) for each in errors)):
        yield from causes(one)


def main() -> int:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        with open(0 if sys.argv[1] == "-" else sys.argv[1], encoding="utf-8") as file:
            result = json.load(file, parse_constant=refuse)
    except (OSError, ValueError) as error:
        print(error)
        return 1
    try:
        import jsonschema  # pylint: disable=import-outside-toplevel
    except ImportError:
        print("skipped: needs python3-jsonschema")
        return 77
    schema = schema_of(result)
    jsonschema.Draft7Validator.check_schema(schema)
    found = list(jsonschema.Draft7Validator(schema).iter_errors(result))
    for one in (cause for error in found for cause in causes(error)):
        print("/".join(map(str, one.absolute_path)) or "(root)", one.message[:300], sep=": ")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
