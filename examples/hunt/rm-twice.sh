#!/bin/sh
# Two rm -rf of one tree: does -f ignore what is not there, as rm(1) promises?
cd "${TMPDIR:?}" || exit
mkdir -p tree/a && touch tree/a/one tree/two
rm -rf tree & one=$!
rm -rf tree & two=$!
wait "$one" && wait "$two" && [ ! -e tree ]
