#!/bin/sh
# A filter's output goes back into the file that it reads: tee truncates it, and grep may not have read it yet.
list=$TMPDIR/list
printf 'one\ntwo\nthree\n' >"$list"
grep -v two "$list" | tee "$list" >"$TMPDIR/shown"
[ "$(wc -l <"$list")" = 2 ]
