#!/bin/sh
# The log is renamed, so that every line is in one file or the other.
log=$TMPDIR/log
echo first >"$log"
(echo second >>"$log") &
mv "$log" "$log.1"
: >>"$log"
wait
cat "$log.1" "$log" | grep -q second
