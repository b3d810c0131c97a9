#!/bin/sh
# git gc beside git commit: do both go well, and is the repository sound? git-gc(1) says that it tries very hard.
# --prepare 'sh examples/hunt/git-gc-commit.sh prepare'
export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a
cd "${TMPDIR:?}" || exit
[ "${1-}" = prepare ] && { git init -q . && echo 1 >a && git add a && git commit -q -m zero && git commit -q --allow-empty -m one; exit; }
git gc -q & gc=$!
git commit -q --allow-empty -m two & commit=$!
wait "$gc" && wait "$commit" && git fsck >sound 2>&1 && [ "$(git log --format=%s | tr '\n' ' ')" = 'two one zero ' ]
