#!/bin/sh
# make -j 2 that puts two members into one archive with ar: are both there? The manual says that they need not be.
cd "${TMPDIR:?}" || exit
echo a >a.o && echo b >b.o
printf 'all: lib.a(a.o) lib.a(b.o)\n(%%.o): %%.o\n\t@ar -rcS lib.a $%%\n' >Makefile
make -s -j 2 && [ "$(ar t lib.a | sort | tr '\n' ' ')" = 'a.o b.o ' ]
