#!/bin/sh
# Two sqlite3 add to a number, each in one statement: do both go well? Without a busy time-out one may be told BUSY.
# With an argument TIME in ms: it waits so long.
# --prepare 'sh examples/hunt/sqlite-busy.sh prepare'
cd "${TMPDIR:?}" || exit
[ "${1-}" = prepare ] && { sqlite3 bank 'create table a (n); insert into a values (0)'; exit; }
add() { sqlite3 -cmd ".timeout ${1:-0}" bank 'update a set n = n + 1'; }
add "${1-}" & one=$!
add "${1-}" & two=$!
wait "$one" && wait "$two" && [ "$(sqlite3 bank 'select n from a')" = 2 ]
