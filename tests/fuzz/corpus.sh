#!/usr/bin/env bash
# The committed corpus of each fuzzer: few inputs with the coverage that long fuzzing has reached.
#   tests/fuzz/corpus.sh make BUILD_DIR [SECONDS] [NAME ...]   fuzz for SECONDS (default 300) from corpus and seeds, keep the
#                                                              smallest inputs of equal coverage in tests/fuzz/corpus/
#   tests/fuzz/corpus.sh check BUILD_DIR                       check that the corpus covers at least 98 % of what 60 s
#                                                              from the seeds alone cover
# As many fuzzers run at once as there are CPUs. The last line is 'N passed, N failed'.
set -euo pipefail
if [ $# -lt 2 ]; then sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2; fi
what=$1
build=$(realpath "$2")
shift 2
source "$(dirname "${BASH_SOURCE[0]}")/inputs.sh"
work=$(mktemp -d)
clean_up() {
  local running
  running=$(jobs -p | paste -sd,)
  [ -z "$running" ] || pkill -P "$running" || true
  rm -rf "$work"
}
trap clean_up EXIT

# Coverage figures are libFuzzer's "cov:", the edges reached.
coverage() {  # NAME FOLDER: of these inputs
  "$build/tests/fuzz/$1_fuzzer" -runs=0 "$2" 2>&1 | sed -n 's/.*INITED cov: \([0-9]*\).*/\1/p'
}
fuzz() {  # NAME FOLDER SECONDS: new inputs go to FOLDER, findings to BUILD_DIR/fuzz-findings/NAME
  mkdir -p "$build/fuzz-findings/$1"
  "$build/tests/fuzz/$1_fuzzer" "$2" -max_total_time="$3" -max_len=4096 -timeout=10 -rss_limit_mb=2048 \
    -artifact_prefix="$build/fuzz-findings/$1/" >"$work/$1.log" 2>&1
}

make_one() {  # NAME SECONDS
  local name=$1 all=$work/$1-all least=$work/$1-least
  mkdir -p "$all" "$least" "$fuzz_folder/corpus"
  if [ -f "$fuzz_folder/corpus/$name.tar.gz" ]; then unpack_corpus "$name" "$all"; fi
  write_seeds "$build" "$name" "$all"
  if ! fuzz "$name" "$all" "$2"; then
    echo "$name: the fuzzer failed. Its input is in $build/fuzz-findings/$name. Its last output:" >&2
    tail -n 20 "$work/$name.log" >&2
    return
  fi
  "$build/tests/fuzz/${name}_fuzzer" -merge=1 -max_len=4096 -rss_limit_mb=2048 "$least" "$all" >"$work/$name.log" 2>&1
  # The same inputs make the same file.
  tar -C "$least" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf - . | gzip -9n >"$fuzz_folder/corpus/$name.tar.gz"
  echo "$name: $(find "$least" -type f | wc -l) inputs, coverage $(coverage "$name" "$least")"
  touch "$work/$name.good"
}

check_one() {  # NAME: creates $work/NAME.good if the corpus covers enough
  local name=$1 seeds=$work/$1-seeds corpus=$work/$1-corpus of_corpus of_seeds
  mkdir -p "$seeds" "$corpus"
  unpack_corpus "$name" "$corpus"
  write_seeds "$build" "$name" "$seeds"
  if fuzz "$name" "$seeds" 60; then
    of_corpus=$(coverage "$name" "$corpus") || true
    of_seeds=$(coverage "$name" "$seeds") || true
    # The coverage of 60 s differs by some edges from run to run.
    if [ $((${of_corpus:-0} * 100)) -ge $((${of_seeds:-1} * 98)) ]; then touch "$work/$name.good"; fi
    echo "$name: coverage of the corpus ${of_corpus:-unknown}, of 60 s from the seeds ${of_seeds:-unknown}"
  else
    echo "$name: the fuzzer failed within 60 s from the seeds. Its last output:"
    tail -n 20 "$work/$name.log"
  fi
}

for_each_name() {  # COMMAND [ARGUMENT ...]: runs COMMAND NAME [ARGUMENT ...] for each of "${names[@]}"
  local command=$1 name
  shift
  for name in "${names[@]}"; do
    if [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; then wait -n || true; fi
    "$command" "$name" "$@" &
  done
  wait
}

case "$what" in
  make)
    seconds=${1:-300}
    [ $# -eq 0 ] || shift
    names=("$@")
    [ ${#names[@]} -gt 0 ] || mapfile -t names < <(fuzzers_of "$build")
    for_each_name make_one "$seconds"
    ;;
  check)
    mapfile -t names < <(fuzzers_of "$build")
    for_each_name check_one
    ;;
  *) echo "corpus.sh: unknown command '$what': use make or check" >&2; exit 2 ;;
esac
passed=$(find "$work" -maxdepth 1 -name '*.good' | wc -l)
echo "$passed passed, $((${#names[@]} - passed)) failed"
[ "$passed" -eq "${#names[@]}" ] && [ "$passed" -gt 0 ]
