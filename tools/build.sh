#!/usr/bin/env bash
# Configures and builds into build/ (or FAIRLEAD_BUILD). CXX: the compiler (default c++).
#   tools/build.sh [meson setup options] [-- ninja targets]
# If ccache is installed, files that this or another clone has compiled come from its cache.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${FAIRLEAD_BUILD:-$top/build}

setup=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do setup+=("$1"); shift; done
[ $# -eq 0 ] || shift

# Use Debian's meson and Python, whatever is first on PATH.
export PATH=/usr/bin:/bin:/usr/sbin:/sbin:$PATH
compiler=${CXX:-c++}
if command -v ccache >/dev/null; then
  # Paths are relative to the clone, so that another clone finds the same entries. Precompiled headers need
  # CCACHE_SLOPPINESS.
  export CCACHE_BASEDIR=$top CCACHE_NOHASHDIR=1 CCACHE_COMPILERCHECK=content CCACHE_SLOPPINESS=pch_defines,time_macros
  export CCACHE_EXTRAFILES_TO_HASH=$top/tests/ubsan-ignorelist.txt
  compiler="ccache $compiler"
fi
mkdir -p "$build"
log=$build/build-output.txt
if [ ! -f "$build/build.ninja" ]; then
  CXX=$compiler meson setup "$build" "$top" "${setup[@]}" >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
elif [ ${#setup[@]} -gt 0 ]; then
  # A folder that was made before one of the options existed must be set up again first.
  meson configure "$build" "${setup[@]}" >"$log" 2>&1 ||
    { meson setup --reconfigure "$build" "$top" && meson configure "$build" "${setup[@]}"; } >"$log" 2>&1 ||
    { cat "$log" >&2; exit 1; }
fi
# The kernel ends ninja when this script ends, also if it is killed.
if ! setpriv --pdeathsig TERM ninja -j "$(nproc)" -C "$build" "$@" >"$log" 2>&1; then
  { grep -E 'error:|FAILED|undefined|fatal' "$log" || tail -n 40 "$log"; } 2>/dev/null | sed -n '1,40p' >&2 || true
  echo "build failed in $build; the whole output: $log" >&2
  exit 1
fi
