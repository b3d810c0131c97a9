#!/bin/sh
# Two who count in one file under lockfile(1): is nothing lost?
cd "${TMPDIR:?}" || exit
echo 0 >count
add() { lockfile -1 lock && read -r n <count && echo $((n + 1)) >count && rm -f lock; }
add & one=$!
add & two=$!
wait "$one" && wait "$two" && [ "$(cat count)" = 2 ]
