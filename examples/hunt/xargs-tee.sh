#!/bin/sh
# xargs -P 2 with tee -a on one log: are both lines there and whole?
cd "${TMPDIR:?}" || exit
printf '%s\n' one two | xargs -P 2 -I @ sh -c 'echo @ | tee -a log' >shown && [ "$(sort log | tr '\n' ' ')" = 'one two ' ]
