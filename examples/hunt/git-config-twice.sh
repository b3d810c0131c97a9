#!/bin/sh
# Two git config at once: is a setting that said that it is done there?
# --prepare 'sh examples/hunt/git-config-twice.sh prepare'
export GIT_CONFIG_GLOBAL=/dev/null
cd "${TMPDIR:?}" || exit
[ "${1-}" = prepare ] && { git init -q .; exit; }
git config a.one 1 2>/dev/null & one=$!
git config a.two 2 2>/dev/null & two=$!
wait "$one"
one=$?
wait "$two"
two=$?
{ [ "$one" != 0 ] || [ "$(git config a.one)" = 1 ]; } && { [ "$two" != 0 ] || [ "$(git config a.two)" = 2 ]; }
