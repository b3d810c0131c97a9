#!/bin/sh
# git add beside git status: does the add go well? git-status(1) says that it may not.
# With an argument --no-optional-locks: it should, as git(1) promises.
# --prepare 'sh examples/hunt/git-add-status.sh prepare'
export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a
cd "${TMPDIR:?}" || exit
[ "${1-}" = prepare ] && { git init -q . && echo 1 >a && git add a && git commit -q -m zero && touch -d yesterday a && echo 2 >b; exit; }
git ${1+"$1"} status -s >seen & status=$!
git add b & add=$!
wait "$status" && wait "$add" && git ls-files | grep -qx b
