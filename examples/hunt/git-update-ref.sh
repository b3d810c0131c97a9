#!/bin/sh
# Two git update-ref from one old value: does at most one succeed, as git-update-ref(1) promises?
# --prepare 'sh examples/hunt/git-update-ref.sh prepare'
export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a
cd "${TMPDIR:?}" || exit
[ "${1-}" = prepare ] && { git init -q . && git commit -q --allow-empty -m zero && git commit -q --allow-empty -m one && git branch ref HEAD~ && git branch other "$(git commit-tree -m x "HEAD^{tree}")" && git pack-refs --all; exit; }
old=$(git rev-parse ref)
git update-ref refs/heads/ref HEAD "$old" 2>/dev/null & one=$!
git update-ref refs/heads/ref other "$old" 2>/dev/null & two=$!
wait "$one"
one=$?
wait "$two"
two=$?
[ "$one" = 0 ] && [ "$two" = 0 ] && exit 1
now=$(git rev-parse ref) || exit
{ [ "$one" != 0 ] || [ "$now" = "$(git rev-parse HEAD)" ]; } && { [ "$two" != 0 ] || [ "$now" = "$(git rev-parse other)" ]; }
