#!/bin/sh
# Two who count in one file under flock(1): is nothing lost?
cd "${TMPDIR:?}" || exit
echo 0 >count
# shellcheck disable=SC2016
add='read -r n <count; echo $((n + 1)) >count'
flock lock sh -c "$add" & one=$!
flock lock sh -c "$add" & two=$!
wait "$one" && wait "$two" && [ "$(cat count)" = 2 ]
