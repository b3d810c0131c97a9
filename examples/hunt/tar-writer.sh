#!/bin/sh
# tar reads a file that changes: does status 0 mean an exact copy of the file as it was at some time, as the manual has it?
cd "${TMPDIR:?}" || exit
head -c 20480 /dev/zero >file
tar -cf file.tar file & tar=$!
perl -e 'open F, "+<", "file"; syswrite F, "x"; sysseek F, 20479, 0; syswrite F, "x"' & perl=$!
wait "$tar"
status=$?
wait "$perl"
[ "$status" = 1 ] && exit 0 # it tells
[ "$status" = 0 ] && tar -xOf file.tar >seen && { [ "$(head -c 1 seen)" = x ] || [ "$(tail -c 1 seen)" != x ]; }
