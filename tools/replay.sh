#!/usr/bin/env bash
# Runs captured traffic through the real dataplane in every forwarding mode and holds what comes out to the rules that always apply:
# nothing crashes, rx + generated = tx + drops + to_kernel, every buffer comes back, nothing leaves larger than the MTU.
#   tools/replay.sh [--modes NAME,...] [--mutations N] [--seed N] [--json] DIR-or-PCAP ...
# Any Ethernet capture, pcap or pcapng of either byte order. Destinations are rewritten to configured frontends, so that the packets
# take the forwarding path. Needs no network and no rights. FAIRLEAD_BUILD: the build folder (default build/).
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export FAIRLEAD_BUILD=${FAIRLEAD_BUILD:-$top/build}
exec /usr/bin/python3 -B "$top/tools/replay/replay.py" "$@"
