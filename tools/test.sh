#!/usr/bin/env bash
# Installs what is missing, builds (release, ASan+UBSan, TSan, fuzzers), runs every test, and closes with
# 'N passed, N failed' over all suites.
#   tools/test.sh [--quick] [--only NAME ...]
#     --quick        the release build's suites only
#     --only NAME    suites whose name holds NAME (see the table that it prints)
# FAIRLEAD_FUZZ_SECONDS: how long each fuzzer runs (default 60).
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$top"

quick=""
if [ "${1:-}" = --quick ]; then quick=yes; shift; fi

tools/install-deps.sh build run test
export PATH=/usr/bin:/bin:/usr/sbin:/sbin:$PATH

say() { printf '%s  %s\n' "$(date +%T)" "$*"; }
build() {  # NAME DIR [meson options] [-- targets]
  local name=$1 dir=$2 started=$SECONDS
  shift 2
  FAIRLEAD_BUILD=$dir tools/build.sh "$@"
  say "built $name in $((SECONDS - started)) s"
}

build release "$top/build"
arguments=("$top/build")
if [ -z "$quick" ]; then
  # -g1: line numbers in reports, and nothing that takes longer to compile.
  build 'ASan + UBSan' "$top/build-asan" -Db_sanitize=address,undefined -Db_lundef=false \
    -Dbuildtype=debugoptimized -Doptimization=1 -Dcpp_args=-g1 -Dbenches=false
  build TSan "$top/build-tsan" -Db_sanitize=thread -Db_lundef=false -Dbuildtype=debugoptimized -Dcpp_args=-g1 \
    -- threads-tests
  CXX=clang++ build fuzzers "$top/build-fuzz" -Dfuzzers=true -Db_sanitize=address,undefined \
    -Db_lundef=false -Dbuildtype=debugoptimized -Dcpp_args=-g1 -- fuzzers
  arguments+=(--asan "$top/build-asan" --tsan "$top/build-tsan" --fuzz "$top/build-fuzz"
              --fuzz-seconds "${FAIRLEAD_FUZZ_SECONDS:-60}")
fi
/usr/bin/python3 tests/run.py "${arguments[@]}" "$@"
