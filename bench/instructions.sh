#!/usr/bin/env bash
# Instructions per packet of a row of bench/pipeline, by stage. The counts are exact, also on a busy machine.
#   bench/instructions.sh BUILD [ROW-REGEX [SECONDS]]      default row: v4, dsr, untracked, hot
# SECONDS: how long to run (0.01). 1e-9 is one batch: two builds then count the same packets.
# Needs valgrind. It has no AVX-512, so this counts the code for CPUs without AVX-512.
set -euo pipefail
if [ $# -lt 1 ]; then sed -n '2,5s/^# //p' "${BASH_SOURCE[0]}" >&2; exit 2; fi
build=$1
row=${2:-'^v4/dsr/none/64B/flows:1000/.*buffers:32/'}
seconds=${3:-0.01}
command -v valgrind >/dev/null || { echo "instructions.sh: valgrind is missing: apt-get install valgrind" >&2; exit 1; }
profile=$(mktemp)
trap 'rm -f "$profile"' EXIT

valgrind --tool=callgrind --callgrind-out-file="$profile" --toggle-collect='*ProcessBurst*' \
  --toggle-collect='*FillBurst*' --toggle-collect='*TakeFrames*' \
  "$build/bench/pipeline" --benchmark_filter="$row" --benchmark_min_time="$seconds" >/dev/null 2>&1 ||
  { echo "instructions.sh: the bench failed under valgrind; does $build/bench/pipeline run?" >&2; exit 1; }
[ -s "$profile" ] || { echo "instructions.sh: no row matches '$row'" >&2; exit 1; }

# Each burst of 32 packets calls ProcessBurst once.
bursts=$(awk '/^c?fn=\([0-9]+\) fairlead::ProcessBurst/ { match($0, /\([0-9]+\)/); id = substr($0, RSTART, RLENGTH) }
              /^cfn=/ { wanted = id != "" && index($0, "cfn=" id) == 1 }
              /^calls=/ { if (wanted) { split($1, part, "="); total += part[2] } wanted = 0 }
              END { print total + 0 }' "$profile")
[ "$bursts" -gt 0 ] || { echo "instructions.sh: no burst was counted" >&2; exit 1; }
callgrind_annotate --threshold=100 "$profile" | awk -v packets=$((bursts * 32)) '
  /fairlead::/ && $1 ~ /^[0-9,]+$/ {
    gsub(",", "", $1)
    match($0, /fairlead::[^(]*(\(anonymous namespace\)::[A-Za-z]*)?/)
    name = substr($0, RSTART + 10, RLENGTH - 10)
    sub(/\(anonymous namespace\)::/, "", name)
    sum += $1
    if ($1 / packets >= 0.5) printf "%7.1f  %s\n", $1 / packets, name
  }
  END { printf "%7.1f  instructions a packet, %d packets\n", sum / packets, packets }'
