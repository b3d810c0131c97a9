#!/bin/sh
# sed -i and who reads the file: the old or the new contents, as the rename that the manual tells of promises?
cd "${TMPDIR:?}" || exit
echo old >file
sed -i s/old/new/ file & sed=$!
cat file >seen & cat=$!
wait "$sed" && wait "$cat" && grep -qx -e old -e new seen
