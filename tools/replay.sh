#!/usr/bin/env bash
# Runs captured traffic through the real dataplane in every forwarding mode, and checks the rules that always apply: no
# crash, rx + generated = tx + drops + to_kernel, every buffer returned, no packet sent that is larger than the MTU.
#   tools/replay.sh [--modes NAME,...] [--mutations N] [--seed N] [--json] DIR-or-PCAP ...
# Accepts any Ethernet capture: pcap or pcapng, of either byte order. Rewrites destinations to configured frontends, so
# that the packets are forwarded. Needs no network and no root. FAIRLEAD_BUILD: the build folder (default build/).
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export FAIRLEAD_BUILD=${FAIRLEAD_BUILD:-$top/build}
exec /usr/bin/python3 -B "$top/tools/replay/replay.py" "$@"
