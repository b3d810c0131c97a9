#!/bin/sh
# logrotate that renames, beside who opens the log for each line: is the line in one of its files?
cd "${TMPDIR:?}" || exit
echo one >log
printf '%s/log {\n create\n rotate 2\n}\n' "$PWD" >conf
/usr/sbin/logrotate -f -s state conf & rotate=$!
echo two >>log & echo=$!
wait "$rotate" && wait "$echo" && cat log* | grep -qx two
