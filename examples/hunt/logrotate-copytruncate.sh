#!/bin/sh
# logrotate's copytruncate beside who appends: is the line in the log or in the copy? logrotate(8) says that it may be lost.
cd "${TMPDIR:?}" || exit
echo one >log
printf '%s/log {\n copytruncate\n rotate 2\n}\n' "$PWD" >conf
/usr/sbin/logrotate -f -s state conf & rotate=$!
echo two >>log & echo=$!
wait "$rotate" && wait "$echo" && cat log log.1 | grep -qx two
