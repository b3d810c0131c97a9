#!/bin/sh
# Two ssh-keygen -R, each of another host: is the host gone if it says so? ssh-keygen(1) says nothing of two at once.
cd "${TMPDIR:?}" || exit
key='ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGm6SXUTQQyVaC8l7zuHGAP3ZyrJHqVAv0ZVKw5bJ8Xa'
printf '%s %s\n' one "$key" two "$key" three "$key" >known_hosts
ssh-keygen -q -f known_hosts -R one & one=$!
ssh-keygen -q -f known_hosts -R two & two=$!
wait "$one"
one=$?
wait "$two"
two=$?
cat known_hosts
[ "$one" != 0 ] || ! grep -q '^one' known_hosts || exit
[ "$two" != 0 ] || ! grep -q '^two' known_hosts
