#!/usr/bin/env bash
# Builds the Debian packages from the files of this clone into build-packages/, checks them with lintian and blhc, and
# writes an SPDX document for each (NAME.deb.spdx.json). Needs the packages of `tools/install-deps.sh package`, with
# --reproducible also those of `tools/install-deps.sh long`.
#   tools/package.sh [--if-changed | --reproducible]
# --if-changed: does nothing if the last run made packages without a complaint from the same files.
# --reproducible: also builds a second time in another folder, time zone and locale, without the compiler cache and with
# one job. Fails, and writes diffoscope's report, if a package differs.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
out=$top/build-packages
reproducible=""
if_changed=""
case "${1:-}" in
  "") ;;
  --if-changed) if_changed=yes ;;
  --reproducible) if_changed=yes reproducible=yes ;;
  *) echo "package.sh: '$1' is not an option; use --if-changed, --reproducible or none" >&2; exit 2 ;;
esac
export PATH=/usr/bin:/bin:/usr/sbin:/sbin:$PATH
if command -v ccache >/dev/null; then
  # debhelper changes HOME, where ccache would have its folder.
  CCACHE_DIR=$(ccache --get-config cache_dir)
  export CCACHE_DIR
fi

# Version of a build between two releases: 0.2.0~git20261129.1234abc, with +local if files differ from that commit.
# A release has its version in debian/changelog, without ~git.
snapshot_version() {
  local base=$1 stamp
  stamp=$(git -C "$top" log -1 --abbrev=7 --date=format:%Y%m%d --format=%cd.%h)
  [ -z "$(git -C "$top" status --porcelain)" ] || stamp+=+local
  echo "${base%%~git*}~git$stamp"
}

# files: names of the clone's files, each ended by a NUL, without what .gitignore lists.
files() {
  git -C "$top" ls-files -z --cached --others --exclude-standard --deduplicate |
    (cd "$top" && xargs -0 sh -c 'for f; do [ ! -e "$f" ] || printf "%s\0" "$f"; done' sh)
}

# inputs: a digest of the files, the version and the installed packages.
inputs() {
  {
    files | (cd "$top" && xargs -0 sha256sum)
    snapshot_version "$(dpkg-parsechangelog -l "$top/debian/changelog" -S Version)"
    dpkg-query -W
  } | sha256sum
}

# stage FOLDER: copies the clone's files.
stage() {
  rm -rf "$1"
  mkdir -p "$1"
  files | (cd "$top" && tar --null --files-from=- -cf -) | tar -C "$1" -xf -
  local version changed
  version=$(dpkg-parsechangelog -l "$top/debian/changelog" -S Version)
  case "$version" in
    *~git*)
      changed=$(git -C "$top" log -1 --date=rfc --format=%cd)
      sed -i -e "1s/(.*)/($(snapshot_version "$version"))/" -e "0,/^ -- /s/^\( -- .*>\)  .*/\1  $changed/" \
        "$1/debian/changelog" ;;
  esac
}

# build FOLDER LOG JOBS: the packages are then beside FOLDER.
build() {
  if ! (cd "$1" && DEB_BUILD_OPTIONS="parallel=$3 nocheck" dpkg-buildpackage -b -us -uc) >"$2" 2>&1; then
    grep -E 'error:|FAILED|dh_.*:|dpkg-.*:' "$2" | head -n 40 >&2 || tail -n 40 "$2" >&2
    echo "building the packages failed; the whole output: $2" >&2
    exit 1
  fi
}

# make_packages: fails with a message if lintian, blhc or sbom.py complain.
make_packages() {
  local log=$out/build-output.txt failed="" deb check
  rm -rf "$out"
  mkdir -p "$out/work"
  stage "$out/work/fairlead"
  build "$out/work/fairlead" "$log" "$(nproc)"
  mv "$out"/work/*.deb "$out"/work/*.changes "$out"/work/*.buildinfo "$out"

  local -A checks  # what each is called, by process
  # lintian warns about root only because it runs other programs on files of unknown origin. These are ours.
  lintian --allow-root --pedantic --tag-display-limit 0 --fail-on error,warning "$out"/*.changes & checks[$!]=lintian
  # Cold code has -O1, the debug information is -g1. Both are chosen in meson.build; BPF objects are not compiled for a CPU.
  blhc --all --debian --ignore-flag -g --ignore-flag -O2 --ignore-line '.*-target bpf.*' "$log" & checks[$!]=blhc
  for deb in "$out"/*.deb; do
    [[ $deb == *-dbgsym_* ]] && continue
    python3 "$top/tools/sbom.py" "$deb" "$out/work/fairlead" >"$deb.spdx.json" & checks[$!]="sbom of ${deb##*/}"
  done
  for check in "${!checks[@]}"; do wait "$check" || failed+=" ${checks[$check]}"; done
  rm -rf "$out/work"
  ls -1 "$out"/*.deb
  [ -z "$failed" ] || { echo "package.sh: failed: $failed" >&2; exit 1; }
}

# compare_second_build: fails with a message if a package differs.
compare_second_build() {
  local again=$out/again second=$out/again/in-a-folder-with-another-name failed="" deb
  stage "$second"
  TZ=Pacific/Kiritimati LC_ALL=C.UTF-8 LANG=C.UTF-8 CCACHE_DISABLE=1 build "$second" "$out/build-output-2.txt" 1
  for deb in "$out"/*.deb; do
    cmp -s "$deb" "$again/${deb##*/}" && continue
    failed+=" ${deb##*/}"
    diffoscope --text "$out/${deb##*/}.diffoscope.txt" "$deb" "$again/${deb##*/}" || true
  done
  rm -rf "$again"
  [ -z "$failed" ] || { echo "package.sh: not reproducible: $failed" >&2; exit 1; }
}

# Two test suites may start this at the same time. The second one waits for the first one's packages.
exec 9<"$top/tools/package.sh"
flock 9
made_from=$(inputs)
if [ -z "$if_changed" ] || [ "$(cat "$out/inputs" 2>/dev/null)" != "$made_from" ]; then
  make_packages
  echo "$made_from" >"$out/inputs"
fi
flock --unlock 9
if [ -n "$reproducible" ]; then compare_second_build; fi
