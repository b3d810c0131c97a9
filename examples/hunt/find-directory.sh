#!/bin/sh
# find -ignore_readdir_race looks at a directory, which it need not open, that is removed: is that no error, as find(1) promises?
cd "${TMPDIR:?}" || exit
mkdir -p tree/one tree/two
find tree -ignore_readdir_race -mindepth 1 -maxdepth 1 -size -9 >seen & find=$!
rmdir tree/two
wait "$find"
