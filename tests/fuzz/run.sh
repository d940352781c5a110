#!/usr/bin/env bash
# Runs every fuzzer of a build for SECONDS from its seeds and the committed corpus, as many at once as there are CPUs.
# The last line is 'N passed, N failed'.
#   tests/fuzz/run.sh SECONDS BUILD_DIR [NAME ...]
# FAIRLEAD_FUZZ_JOBS: another number at once. Inputs that make a fuzzer fail stay in BUILD_DIR/fuzz-findings/NAME.
# Run the fuzzer on such a file to reproduce the failure.
set -euo pipefail
if [ $# -lt 2 ]; then sed -n '2,6s/^# //p' "${BASH_SOURCE[0]}" >&2; exit 2; fi
seconds=$1
build=$(realpath "$2")
programs=$build/tests/fuzz
source "$(dirname "${BASH_SOURCE[0]}")/inputs.sh"
findings=$(realpath "$2")/fuzz-findings
shift 2
jobs_at_once=${FAIRLEAD_FUZZ_JOBS:-$(nproc)}
work=$(mktemp -d)
clean_up() {  # ends the fuzzers that still run, by their parents' ids
  local running
  running=$(jobs -p | paste -sd,)
  [ -z "$running" ] || pkill -P "$running" || true
  rm -rf "$work"
}
trap clean_up EXIT

wanted() {  # NAME, the names asked for
  local name=$1
  shift
  [ $# -eq 0 ] || [[ " $* " == *" $name "* ]]
}

fuzz() {  # PROGRAM: writes its result to $work/NAME.result, and creates $work/NAME.good if nothing was found
  local program=$1 name seed_count log runs schedule=1
  name=$(basename "${program%_fuzzer}")
  mkdir -p "$work/$name" "$findings/$name"
  unpack_corpus "$name" "$work/$name"
  write_seeds "$build" "$name" "$work/$name"
  seed_count=$(find "$work/$name" -type f | wc -l)
  log=$findings/$name.log
  # Rare features first (libFuzzer's entropic schedule) costs most of the time of a large program with a large corpus:
  # reading the inputs of json and pipeline took 19 and 14 s of CPU time, without it 4 and 3 s.
  [ "$seed_count" -lt 500 ] || schedule=0
  # A run without seeds, or without any run of the target, has tested nothing.
  if [ "$seed_count" -gt 0 ] &&
     "$program" "$work/$name" -max_total_time="$seconds" -max_len=4096 -entropic="$schedule" -timeout=10 -rss_limit_mb=2048 \
       -print_final_stats=1 -artifact_prefix="$findings/$name/" >"$log" 2>&1 &&
     runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log") && [ "${runs:-0}" -gt 0 ]; then
    printf 'ok      %-12s %s runs from %s seeds in %s s\n' "$name" "$runs" "$seed_count" "$seconds" >"$work/$name.result"
    touch "$work/$name.good"
  else
    printf 'FAILED  %-12s %s seeds; see %s\n' "$name" "$seed_count" "$log" >"$work/$name.result"
    grep -E 'ERROR|CHECK|runtime error|SUMMARY|Test unit written' "$log" | head -n 20 >>"$work/$name.result" || true
  fi
  cat "$work/$name.result"
}

started=0
for program in "$programs"/*_fuzzer; do
  [ -x "$program" ] || continue
  wanted "$(basename "${program%_fuzzer}")" "$@" || continue
  if [ "$(jobs -rp | wc -l)" -ge "$jobs_at_once" ]; then wait -n || true; fi
  fuzz "$program" &
  started=$((started + 1))
done
wait
passed=$(find "$work" -maxdepth 1 -name '*.good' | wc -l)
failed=$((started - passed))
if [ "$started" -eq 0 ]; then
  echo "no fuzzer in $programs matches: build the target 'fuzzers' first, or check the names"
  failed=1
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
