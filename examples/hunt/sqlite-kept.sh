#!/bin/sh
# Two sqlite3 add to a number without a busy time-out: is what said that it is done kept, and the file sound?
# --prepare 'sh examples/hunt/sqlite-kept.sh prepare'
cd "${TMPDIR:?}" || exit
[ "${1-}" = prepare ] && { sqlite3 bank 'create table a (n); insert into a values (0)'; exit; }
add() { sqlite3 bank 'update a set n = n + 1' 2>/dev/null && echo one >>ok; }
touch ok
add & one=$!
add & two=$!
wait "$one"
wait "$two"
[ "$(sqlite3 bank 'select n from a; pragma integrity_check' | tr '\n' ' ')" = "$(wc -l <ok) ok " ]
