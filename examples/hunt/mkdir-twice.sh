#!/bin/sh
# Two mkdir -p of one path: is a directory that is there no error, as mkdir(1) promises?
cd "${TMPDIR:?}" || exit
mkdir -p a/b/c & one=$!
mkdir -p a/b/d & two=$!
wait "$one" && wait "$two" && [ -d a/b/c ] && [ -d a/b/d ]
