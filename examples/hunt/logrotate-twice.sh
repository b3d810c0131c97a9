#!/bin/sh
# Two logrotate with one state file: does the lock on it, which logrotate(8) tells of, keep all lines?
cd "${TMPDIR:?}" || exit
echo one >log
printf '%s/log {\n nocreate\n missingok\n rotate 1\n}\n' "$PWD" >conf
/usr/sbin/logrotate -s state conf # makes the state
/usr/sbin/logrotate -f -s state conf & one=$!
/usr/sbin/logrotate -f -s state conf & two=$!
wait "$one"
one=$?
wait "$two"
case $one$? in 00 | 03 | 30) grep -qx one log.1 ;; *) exit 1 ;; esac
