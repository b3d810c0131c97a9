#!/bin/sh
# Two compileall on one directory: is the byte code whole, as the documentation of py_compile promises?
cd "${TMPDIR:?}" || exit
mkdir lib && echo 'answer = 42' >lib/one.py
/usr/bin/python3 -I -m compileall -q lib & one=$!
/usr/bin/python3 -I -m compileall -q lib & two=$!
wait "$one" && wait "$two" && (cd lib && rm one.py && mv __pycache__/one.*.pyc one.pyc) &&
  [ "$(cd lib && /usr/bin/python3 -c 'import one; print(one.answer)')" = 42 ]
