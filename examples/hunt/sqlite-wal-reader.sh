#!/bin/sh
# A reader beside a writer in WAL mode, while a third has the database open: is neither told BUSY, as the documentation promises?
# --prepare 'sh examples/hunt/sqlite-wal-reader.sh prepare'
case ${1-} in
  prepare)
    cd "${TMPDIR:?}" || exit
    sqlite3 bank 'pragma journal_mode = wal; create table a (n); insert into a values (0)' >/dev/null
    ;;
  two)
    sqlite3 bank 'update a set n = n + 1' & write=$!
    sqlite3 bank 'select n from a' >seen & read=$!
    wait "$write" && wait "$read" && grep -qx '[01]' seen && touch well
    ;;
  *)
    here=$(realpath "$0")
    cd "${TMPDIR:?}" || exit
    sqlite3 bank 'select n from a' ".shell sh $here two" >/dev/null && [ -e well ]
    ;;
esac
