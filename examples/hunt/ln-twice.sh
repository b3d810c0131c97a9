#!/bin/sh
# Two ln -sfn of one name: are both done?
cd "${TMPDIR:?}" || exit
touch one two
ln -sfn one link & one=$!
ln -sfn two link & two=$!
wait "$one" && wait "$two" && [ -L link ]
