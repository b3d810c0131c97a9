#!/bin/sh
# Two ccache with one cache: does each give the right object, and do the statistics count both?
cd "${TMPDIR:?}" || exit
export CCACHE_DIR="$PWD/cache" CCACHE_CONFIGPATH=/dev/null
echo 'int one(void) { return 1; }' >one.c
ccache gcc -c one.c -o a.o & one=$!
ccache gcc -c one.c -o b.o & two=$!
wait "$one" && wait "$two" && cmp a.o b.o &&
  [ "$(ccache --print-stats | awk '$1 ~ /^(direct_cache_hit|preprocessed_cache_hit|cache_miss)$/ { n += $2 } END { print n }')" = 2 ]
