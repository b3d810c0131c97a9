#!/bin/sh
# One at a time, by a lock that both take.
count=$TMPDIR/count
echo 0 >"$count"
# shellcheck disable=SC2016  # the inner shell expands it
seq 2 | xargs -P 2 -I {} flock "$count.lock" sh -c 'n=$(cat "$1"); echo $((n + 1)) >"$1"' count "$count"
[ "$(cat "$count")" = 2 ]
