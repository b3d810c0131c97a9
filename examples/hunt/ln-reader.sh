#!/bin/sh
# ln -sfn gives a link a new target: is the name always there for who reads it?
cd "${TMPDIR:?}" || exit
echo 1 >one && echo 2 >two && ln -s one link
ln -sfn two link & ln=$!
cat link >seen & cat=$!
wait "$ln" && wait "$cat" && [ -s seen ]
