#!/bin/sh
# xargs -P 2, each of which appends a line to one log: are both there, as O_APPEND promises?
cd "${TMPDIR:?}" || exit
# shellcheck disable=SC2016
printf '%s\n' one two | xargs -P 2 -I @ sh -c 'echo @ >>log' && [ "$(sort log | tr '\n' ' ')" = 'one two ' ]
