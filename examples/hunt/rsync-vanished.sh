#!/bin/sh
# A file goes away while rsync copies its directory: is the status 0 or 24, as rsync(1) has it?
cd "${TMPDIR:?}" || exit
mkdir from && echo one >from/one && echo two >from/two
rsync -r from/ to & rsync=$!
rm from/two & rm=$!
wait "$rsync"
case $? in 0 | 24) wait "$rm" && cmp from/one to/one ;; *) exit 1 ;; esac
