#!/usr/bin/env bash
# Installs the Debian packages that Fairlead needs to be built, tested, demonstrated and measured. If all are
# installed, does nothing and needs no root.
#   tools/install-deps.sh [build] [run] [test] [bench] [guest] [package] [long]      default: build run test
set -euo pipefail

build=(g++ dpkg-dev meson ninja-build pkg-config libdpdk-dev clang bpftool libbpf-dev libxdp-dev libxxhash-dev
       libboost-dev nlohmann-json3-dev libsqlite3-dev libnl-3-dev libnl-route-3-dev prometheus-cpp-dev
       libspdlog-dev libfmt-dev libcli11-dev libyaml-cpp-dev libssl-dev libnghttp2-dev libgtest-dev libgmock-dev
       libbenchmark-dev)
run=(iproute2 ethtool procps nginx-light curl python3 iputils-ping util-linux)
test=(ccache lld llvm clang-format clang-tidy libclang-rt-14-dev python3-scapy python3-pytest python3-pytest-xdist
      python3-yaml python3-xxhash python3-grpcio python3-matplotlib iperf3 nftables tcpdump sqlite3 git
      openssl openssh-server openssh-client traceroute pandoc man-db zsh fish)
guest=(qemu-system-x86 debootstrap e2fsprogs openssh-client)
bench=(dpdk dpdk-dev valgrind haproxy libnginx-mod-stream wrk nftables iperf3 procps python3-matplotlib git)
package=(debhelper dpkg-dev fakeroot lintian blhc pandoc debootstrap systemd-container systemd)
long=(diffoscope-minimal piuparts)

wanted=()
for group in "${@:-build run test}"; do
  for name in $group; do
    case "$name" in
      build) wanted+=("${build[@]}") ;;
      run) wanted+=("${run[@]}") ;;
      test) wanted+=("${test[@]}") ;;
      package) wanted+=("${package[@]}") ;;
      long) wanted+=("${long[@]}") ;;
      bench) wanted+=("${bench[@]}") ;;
      guest) wanted+=("${guest[@]}") ;;
      *) echo "install-deps.sh: '$name' is not a group; use build, run, test, bench, guest, package or long" >&2; exit 2 ;;
    esac
  done
done

# One query for all: dpkg-query prints what is installed and complains about the rest on stderr.
installed=$(dpkg-query -W -f '${binary:Package} ${db:Status-Status}\n' 2>/dev/null |
            awk '$2 == "installed" { sub(/:.*/, "", $1); print $1 }')
missing=()
for package in "${wanted[@]}"; do
  grep -qxF "$package" <<<"$installed" || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then exit 0; fi

sudo=()
if [ "$(id -u)" != 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "These packages are missing and need root to install: ${missing[*]}" >&2
    echo "As root: apt-get update && apt-get install ${missing[*]}" >&2
    exit 1
  fi
  sudo=(sudo)
fi
# Some packages start their service (nginx does). Fairlead does not need it, and it would use port 80.
restore=""
if [ ! -e /usr/sbin/policy-rc.d ]; then
  restore=yes
  printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee /usr/sbin/policy-rc.d >/dev/null
  "${sudo[@]}" chmod 755 /usr/sbin/policy-rc.d
fi
trap '[ -z "$restore" ] || "${sudo[@]}" rm -f /usr/sbin/policy-rc.d' EXIT
echo "Installing ${#missing[@]} packages: ${missing[*]}"
log=$(mktemp)
if ! { "${sudo[@]}" apt-get update -q &&
       "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
         apt-get install -y -q --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
  tail -n 20 "$log" >&2
  echo "Installing failed; the whole log is in $log" >&2
  exit 1
fi
rm -f "$log"
