#!/bin/sh
# rsync to a file that another reads: the old or the new contents, as rsync(1) promises without --inplace?
cd "${TMPDIR:?}" || exit
echo old >file && echo new >source
rsync -I source file & rsync=$!
cat file >seen & cat=$!
wait "$rsync" && wait "$cat" && grep -qx -e old -e new seen
