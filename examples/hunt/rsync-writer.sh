#!/bin/sh
# rsync from a file that changes: is the copy one of the file as it was at some time? Nothing promises it.
cd "${TMPDIR:?}" || exit
head -c 400k /dev/zero >file
rsync -I file copy & rsync=$!
perl -e 'open F, "+<", "file"; syswrite F, "x"; sysseek F, 409599, 0; syswrite F, "x"' & perl=$!
wait "$rsync"
status=$?
wait "$perl"
[ "$status" != 0 ] || [ "$(head -c 1 copy)" = x ] || [ "$(tail -c 1 copy)" != x ]
