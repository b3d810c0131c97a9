#!/bin/sh
# Two mv -n to one name: is the first one's file not overwritten, as mv(1) promises?
cd "${TMPDIR:?}" || exit
echo 1 >one && echo 2 >two
mv -n one name & one=$!
mv -n two name & two=$!
wait "$one"
wait "$two"
[ "$(cat one two name 2>/dev/null | sort | tr -d '\n')" = 12 ]
