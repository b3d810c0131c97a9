#!/bin/sh
# git config sets what has a value already: is the new one there if it says nothing else? For --faults.
# --prepare 'sh examples/hunt/git-config-set.sh prepare'
export GIT_CONFIG_GLOBAL=/dev/null
cd "${TMPDIR:?}" || exit
[ "${1-}" = prepare ] && { git init -q . && git config a.b old; exit; }
git config a.b new && git config a.b >got
