#!/usr/bin/env bash
# Demonstrates Fairlead with real traffic, in about a minute, on any Debian 12. Needs no NIC.
#   tools/demo.sh [--keep]      --keep leaves the network running until Ctrl-C, so that you can try commands
# Installs missing packages, builds into build/, then runs tools/demo/demo.py as root, or as an ordinary user in a new
# user namespace.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$top"

for argument in "$@"; do
  case "$argument" in
    --keep) ;;
    -h | --help) sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "demo.sh: unknown option '$argument'; the only option is --keep" >&2; exit 2 ;;
  esac
done

tools/install-deps.sh build run
build=${FAIRLEAD_BUILD:-$top/build}
started=$SECONDS
[ -f "$build/build.ninja" ] || echo "Building Fairlead (release, a few minutes the first time) ..."
FAIRLEAD_BUILD=$build tools/build.sh -- dataplane/fairlead-dataplane controlplane/fairleadd \
  tools/fairctl/fairctl tests/lab/fairlead-loadgen
echo "Built in $((SECONDS - started)) s."

export PATH=/usr/bin:/bin:/usr/sbin:/sbin:$PATH
FAIRLEAD_BUILD=$build PYTHONPATH=$top exec /usr/bin/python3 -B tools/demo/demo.py "$@"
