#!/usr/bin/env python3
"""Checks a result of --json against docs/result.schema.json, for tests and for users.

    src/report/check_schema.py FILE        "-": standard input

Prints each disagreement with its place. Exit status: 0 valid, 1 not, 77 python3-jsonschema is missing.
"""

import json
import pathlib
import sys

SCHEMA = pathlib.Path(__file__).resolve().parents[2] / "docs" / "result.schema.json"


def refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


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
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.Draft7Validator.check_schema(schema)
    found = list(jsonschema.Draft7Validator(schema).iter_errors(result))
    for one in found:
        print("/".join(map(str, one.absolute_path)) or "(root)", one.message[:300], sep=": ")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
