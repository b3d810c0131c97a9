#!/bin/sh
# Two ssh-keygen that make one key file, neither told to overwrite: do its two halves belong together?
cd "${TMPDIR:?}" || exit
ssh-keygen -q -t ed25519 -N '' -f key </dev/null >one 2>&1 & one=$!
ssh-keygen -q -t ed25519 -N '' -f key </dev/null >two 2>&1 & two=$!
wait "$one"
wait "$two"
[ "$(ssh-keygen -y -f key | cut -d ' ' -f 2)" = "$(cut -d ' ' -f 2 key.pub)" ]
