# shellcheck shell=bash
# Configuring and building a build folder, for tools/run, tools/test and .ci/run. To be sourced: it sets
# root and name, defines functions, and starts nothing. Nothing here writes to standard output.

root=$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")
name=$(realpath --relative-to="$root" "$0")

say() {
  echo "$name: $*" >&2
}

# build FOLDER TARGET [MESON-OPTION…]: configures $root/FOLDER if it is not, or if one of the options
# (-Dname=value) has another value there; then builds TARGET ("all" is everything). Quiet but for
# failures, and for ninja's progress on a terminal. One at a time per folder: the others wait.
build() {
  local folder=$root/$1 target=$2 status=0
  shift 2
  mkdir -p "$folder" 2>/dev/null || true
  if [[ ! -w $folder ]]; then
    say "cannot write to $folder as $(id -un): use a checkout of your own, or start what is already" \
      "built in $folder/src"
    return 3
  fi
  exec 9<"$folder"
  flock 9
  { configure "$folder" "$@" && run_ninja "$folder" "$target"; } 9<&- || status=$?
  exec 9<&-
  return $status
}

configure() {
  local folder=$1 log
  shift
  if [[ ! -e $folder/build.ninja ]]; then
    say "configuring $folder"
    rm -rf "$folder/meson-private"  # what an interrupted configuration left
    log=$(meson setup "$folder" "$root" "$@" 2>&1) && return
  else
    are_set "$folder" "$@" && return
    say "configuring $folder with $*"
    log=$(meson configure "$folder" "$@" 2>&1) && return
  fi
  echo "$log" >&2
  say "meson could not configure $folder; its reason is the last ERROR above"
  return 3
}

# Whether the configured folder $1 has all the other arguments (-Dname=value) as its options.
are_set() {
  local options option
  options=$(tr -d ' "[]\n' <"$1/meson-info/intro-buildoptions.json")
  for option in "${@:2}"; do
    option=${option#-D}
    [[ $options == *"{name:${option%%=*},value:${option#*=},"* ]] || return
  done
}

run_ninja() {
  local log
  if ! ninja -C "$1" -n "$2" | grep -q 'no work to do'; then
    if [[ -t 2 ]]; then
      ninja -C "$1" "$2" >&2 && return  # shows its progress
      say "building $1 failed"
      return 3
    fi
    say "building $1, which takes a few minutes the first time"
  fi
  log=$(ninja -C "$1" --quiet "$2" 2>&1) && return
  echo "$log" >&2
  say "building $1 failed"
  return 3
}
