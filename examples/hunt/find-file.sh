#!/bin/sh
# find -ignore_readdir_race looks at a file that is removed: is that no error, as find(1) promises?
cd "${TMPDIR:?}" || exit
mkdir tree && touch tree/one tree/two
find tree -ignore_readdir_race -mindepth 1 -size -9 >seen & find=$!
rm tree/two
wait "$find"
