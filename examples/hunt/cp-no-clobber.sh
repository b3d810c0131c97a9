#!/bin/sh
# Two cp -n to one name: is an existing file not overwritten, as cp(1) promises?
cd "${TMPDIR:?}" || exit
echo first >one && echo the-second >two
cp -n one name & one=$!
cp -n two name & two=$!
wait "$one"
wait "$two"
cmp -s name one || cmp -s name two
