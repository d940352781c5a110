#!/usr/bin/env bash
# Boots a guest with Fairlead on an emulated NIC, and opens a shell in it. The guest ends with the shell, which reads
# commands from standard input.
#   tools/vm/run.sh [--nic MODEL ...] [BUILD]      MODEL: e1000e (default), vmxnet3, virtio, virtio-multiqueue, e1000, ...
#                                                  BUILD: a build folder (default: build)
# The guest has the Debian packages of this clone, which tools/package.sh builds if a file has changed. FAIRLEAD_PACKAGES
# names a folder of packages to use in place of them. BUILD has the programs of the client and the backends.
# Needs root. The first run makes the guest's root, which downloads about 120 MB into ~/.cache/fairlead
# (FAIRLEAD_CACHE). Uses KVM if the host has it; FAIRLEAD_GUEST_ACCEL=tcg emulates the CPU.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$top"
case "${1:-}" in
  -h | --help) sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
esac

groups=(run guest)
[ -n "${FAIRLEAD_PACKAGES:-}" ] || groups+=(build package)
tools/install-deps.sh "${groups[@]}" </dev/null  # the shell's input
export PATH=/usr/bin:/bin:/usr/sbin:/sbin:$PATH
PYTHONPATH=$top exec /usr/bin/python3 -B tools/vm/run.py "$@"
