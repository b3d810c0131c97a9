#!/bin/sh
# Two git commit at once: is a commit that said that it is done in the history?
# --prepare 'sh examples/hunt/git-commit-twice.sh prepare'
export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a
cd "${TMPDIR:?}" || exit
[ "${1-}" = prepare ] && { git init -q . && git commit -q --allow-empty -m zero; exit; }
git commit -q --allow-empty -m one & one=$!
git commit -q --allow-empty -m two & two=$!
wait "$one"
one=$?
wait "$two"
two=$?
git log --format=%s >seen && git fsck >sound 2>&1 || exit
{ [ "$one" != 0 ] || grep -qx one seen; } && { [ "$two" != 0 ] || grep -qx two seen; }
