#!/bin/sh
# sqlite3's .backup beside a writer: is the copy one state of the database, as the documentation promises?
# --prepare 'sh examples/hunt/sqlite-backup.sh prepare'
cd "${TMPDIR:?}" || exit
[ "${1-}" = prepare ] && { sqlite3 bank 'create table a (n); insert into a values (0), (0)'; exit; }
sqlite3 -cmd '.timeout 1000' bank 'update a set n = n + 1' & write=$!
sqlite3 -cmd '.timeout 1000' bank '.backup copy' & copy=$!
wait "$write" && wait "$copy" && [ "$(sqlite3 copy 'select count(distinct n) from a; pragma integrity_check' | tr '\n' ' ')" = '1 ok ' ]
