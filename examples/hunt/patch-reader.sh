#!/bin/sh
# patch changes a file that another reads: the old or the new contents?
cd "${TMPDIR:?}" || exit
echo old >file
printf -- '--- file\n+++ file\n@@ -1 +1 @@\n-old\n+new\n' >change
patch -s file <change & patch=$!
cat file >seen & cat=$!
wait "$patch" && wait "$cat" && grep -qx -e old -e new seen
