#!/bin/sh
# ed saves a file that another reads: the old or the new contents? Nothing promises it.
cd "${TMPDIR:?}" || exit
echo old >file
printf 's/old/new/\nw\nq\n' | ed -s file & ed=$!
cat file >seen & cat=$!
wait "$ed" && wait "$cat" && grep -qx -e old -e new seen
