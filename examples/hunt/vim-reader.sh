#!/bin/sh
# vim saves a file that another reads: the old or the new contents? Nothing promises it.
cd "${TMPDIR:?}" || exit
echo old >file
vim -u NONE -i NONE -es -n -c 's/old/new/' -c wq file </dev/null & vim=$!
cat file >seen & cat=$!
wait "$vim" && wait "$cat" && grep -qx -e old -e new seen
