#!/bin/sh
# Two processes count in one file: both read, both write one more than they read.
count=$TMPDIR/count
echo 0 >"$count"
# shellcheck disable=SC2016  # the inner shell expands it
seq 2 | xargs -P 2 -I {} sh -c 'n=$(cat "$1"); echo $((n + 1)) >"$1"' count "$count"
[ "$(cat "$count")" = 2 ]
