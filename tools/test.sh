#!/usr/bin/env bash
# Installs missing packages, builds (release, ASan + UBSan, TSan), runs every test, and ends with 'N passed, N failed'
# over all suites.
#   tools/test.sh [--quick | --long] [--only NAME ...]
#     --quick        the release build's suites only
#     --long         also longer checks: 60 s of each fuzzer, long survival tests, more sanitizer builds
#     --only NAME    suites whose name contains NAME, and the builds that they need
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$top"
for argument in "$@"; do
  case "$argument" in
    -h | --help) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;;
  esac
done

groups=(build run test package guest)
for argument in "$@"; do
  if [ "$argument" = --long ]; then groups+=(long); fi
done
tools/install-deps.sh "${groups[@]}"
export PATH=/usr/bin:/bin:/usr/sbin:/sbin:$PATH
exec /usr/bin/python3 -B tests/run.py "$@"
