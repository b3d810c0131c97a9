#!/bin/sh
# Two npm cache add of one package, with one cache: do both go well, and is the cache sound?
# --prepare 'sh examples/hunt/npm-cache-twice.sh prepare'
cd "${TMPDIR:?}" || exit
export npm_config_cache="$PWD/cache" npm_config_offline=true npm_config_update_notifier=false npm_config_loglevel=error
if [ "${1-}" = prepare ]; then
  mkdir one && echo '{"name":"one","version":"1.0.0"}' >one/package.json
  tar -czf one.tgz --transform 's/^one/package/' one
  exit
fi
npm cache add "$PWD/one.tgz" & one=$!
npm cache add "$PWD/one.tgz" & two=$!
wait "$one" && wait "$two" && npm cache verify >seen && ! grep -qi 'corrupt\|missing' seen
