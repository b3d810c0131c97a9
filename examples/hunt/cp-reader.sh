#!/bin/sh
# cp over a file, and who reads it: the old or the new contents? Nothing promises it.
cd "${TMPDIR:?}" || exit
echo old >file && echo new >source
cp source file & cp=$!
cat file >seen & cat=$!
wait "$cp" && wait "$cat" && [ -s seen ]
