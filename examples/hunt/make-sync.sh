#!/bin/sh
# make -j 2 -O: is the output of a target together, as the manual promises?
cd "${TMPDIR:?}" || exit
printf 'all: a b\na b:\n\t@echo $@1\n\t@echo $@2\n' >Makefile
make -s -j 2 --output-sync=target >log 2>&1 || exit
case $(tr '\n' ' ' <log) in 'a1 a2 b1 b2 ' | 'b1 b2 a1 a2 ') ;; *) cat log && exit 1 ;; esac
