#!/bin/sh
# Two install -D of one file: are both done, with the file complete at the end?
cd "${TMPDIR:?}" || exit
echo text >source
install -D -m 644 source a/file & one=$!
install -D -m 644 source a/file & two=$!
wait "$one" && wait "$two" && cmp source a/file
