#!/bin/sh
# A log is rotated by copying and truncating it: a line that is appended in between is in neither.
log=$TMPDIR/log
echo first >"$log"
(echo second >>"$log") &
cp "$log" "$log.1"
: >"$log"
wait
cat "$log.1" "$log" | grep -q second
