#!/bin/sh
# Two find -delete with -ignore_readdir_race on one tree: is what the other has deleted no error, as find(1) promises?
cd "${TMPDIR:?}" || exit
mkdir -p tree/a && touch tree/a/one tree/two
find tree -ignore_readdir_race -delete & one=$!
find tree -ignore_readdir_race -delete & two=$!
wait "$one" && wait "$two" && [ ! -e tree ]
