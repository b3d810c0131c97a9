#!/usr/bin/env python3
"""Prints C++ initialisers of catalogue entries, in the order of the .litmus files given.

Usage: embed_catalogue.py FILE.litmus…

For the build; src/litmus/catalogue.cpp includes what it prints.
"""

import pathlib
import sys

END_OF_TEXT = ')litmus"'


def main() -> None:
    for name in sys.argv[1:]:
        path = pathlib.Path(name)
        text = path.read_text(encoding="ascii")
        if END_OF_TEXT in text:
            sys.exit(f"{path}: {END_OF_TEXT} cannot be embedded")
        print(f'{{"{path.stem}", R"litmus({text}{END_OF_TEXT}}},')


if __name__ == "__main__":
    main()
