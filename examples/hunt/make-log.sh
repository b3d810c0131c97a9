#!/bin/sh
# make -j 2 with two recipes that append to one log: are both lines there?
cd "${TMPDIR:?}" || exit
printf 'all: a b\na b:\n\t@echo $@ >>log\n' >Makefile
make -s -j 2 && [ "$(sort log | tr '\n' ' ')" = 'a b ' ]
