#!/bin/sh
# sort -o onto its own input, and who reads it: is all of it there? Nothing promises it.
cd "${TMPDIR:?}" || exit
printf 'b\na\n' >file
sort -o file file & sort=$!
cat file >seen & cat=$!
wait "$sort" && wait "$cat" && [ "$(wc -l <seen)" = 2 ]
