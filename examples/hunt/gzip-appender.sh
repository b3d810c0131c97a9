#!/bin/sh
# gzip of a file that another appends to: is a line lost though gzip says that all is well?
cd "${TMPDIR:?}" || exit
echo one >log
gzip log & gzip=$!
echo two >>log & echo=$!
wait "$gzip" || exit 0 # it tells
wait "$echo"
{ zcat log.gz && cat log; } 2>/dev/null | grep -qx two
