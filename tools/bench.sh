#!/usr/bin/env bash
# Runs the benchmarks. Installs missing packages, builds for this machine and as distributed, measures, prints a table
# and writes bench/results/DATE-COMMIT.json.
#   tools/bench.sh [quick|full] [--only PART ...]      4 or 25 minutes; parts: micro pipeline wire kernel control scale
#   tools/bench.sh compare A B [--only PART ...]       two builds (folders or commits) in turn: is the difference real?
#   tools/bench.sh report bench/results/X.json         writes docs/performance.md and docs/plots/ from a result
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export PATH=/usr/bin:/bin:/usr/sbin:/sbin:$PATH
"$top/tools/install-deps.sh" build run bench
cd "$top"
exec /usr/bin/python3 -m bench.suite "$@"
