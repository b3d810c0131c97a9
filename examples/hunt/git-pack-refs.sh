#!/bin/sh
# git pack-refs beside who reads a ref: is it always there?
# --prepare 'sh examples/hunt/git-pack-refs.sh prepare'
export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a
cd "${TMPDIR:?}" || exit
[ "${1-}" = prepare ] && { git init -q . && git commit -q --allow-empty -m zero && git branch one && git branch two; exit; }
git pack-refs --all --prune & pack=$!
git for-each-ref --format='%(refname:short)' refs/heads/one refs/heads/two >refs & list=$!
wait "$pack" && wait "$list" && [ "$(tr '\n' ' ' <refs)" = 'one two ' ]
