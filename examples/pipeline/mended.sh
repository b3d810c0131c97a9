#!/bin/sh
# The output goes to another file, which is renamed when the pipeline has ended.
list=$TMPDIR/list
printf 'one\ntwo\nthree\n' >"$list"
grep -v two "$list" | tee "$list.new" >"$TMPDIR/shown"
mv "$list.new" "$list"
[ "$(wc -l <"$list")" = 2 ]
