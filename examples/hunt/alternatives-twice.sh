#!/bin/sh
# Two update-alternatives, each of which adds one alternative of a name: are both there?
cd "${TMPDIR:?}" || exit
mkdir alt admin && touch one two
set -- --altdir "$PWD/alt" --admindir "$PWD/admin" --log /dev/null --quiet
update-alternatives "$@" --install "$PWD/link" name "$PWD/one" 1 & one=$!
update-alternatives "$@" --install "$PWD/link" name "$PWD/two" 2 & two=$!
wait "$one" && wait "$two" && [ "$(update-alternatives "$@" --list name | wc -l)" = 2 ]
