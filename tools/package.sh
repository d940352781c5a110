#!/usr/bin/env bash
# Builds the Debian packages from the files of this clone into build-packages/, checks them with lintian and blhc, and
# writes an SPDX document for each (NAME.deb.spdx.json). Needs the packages of `tools/install-deps.sh package`, with
# --reproducible also those of `tools/install-deps.sh long`.
#   tools/package.sh [--reproducible]
# --reproducible: builds a second time in another folder, time zone and locale, without the compiler cache and with one
# job. Fails, and writes diffoscope's report, if a package differs.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
out=$top/build-packages
reproducible=""
case "${1:-}" in
  "") ;;
  --reproducible) reproducible=yes ;;
  *) echo "package.sh: '$1' is not an option; use --reproducible or none" >&2; exit 2 ;;
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

# stage FOLDER: copies the clone's files, without what .gitignore lists.
stage() {
  rm -rf "$1"
  mkdir -p "$1"
  git -C "$top" ls-files -z --cached --others --exclude-standard --deduplicate |
    (cd "$top" && xargs -0 sh -c 'for f; do [ ! -e "$f" ] || printf "%s\0" "$f"; done' sh |
      tar --null --files-from=- -cf -) | tar -C "$1" -xf -
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

rm -rf "$out"
mkdir -p "$out/work"
log=$out/build-output.txt
stage "$out/work/fairlead"
build "$out/work/fairlead" "$log" "$(nproc)"
mv "$out"/work/*.deb "$out"/work/*.changes "$out"/work/*.buildinfo "$out"

failed=""
# lintian warns about root only because it runs other programs on files of unknown origin. These are ours.
lintian --allow-root --pedantic --tag-display-limit 0 --fail-on error,warning "$out"/*.changes || failed="lintian"
# Cold code has -O1, the debug information is -g1. Both are chosen in meson.build; BPF objects are not compiled for a CPU.
blhc --all --debian --ignore-flag -g --ignore-flag -O2 --ignore-line '.*-target bpf.*' "$log" || failed+=" blhc"
for deb in "$out"/*.deb; do
  case "$deb" in
    *-dbgsym_*) ;;
    *) python3 "$top/tools/sbom.py" "$deb" "$out/work/fairlead" >"$deb.spdx.json" || failed+=" sbom of ${deb##*/}" ;;
  esac
done

if [ -n "$reproducible" ]; then
  second=$out/again/in-a-folder-with-another-name
  stage "$second"
  TZ=Pacific/Kiritimati LC_ALL=C.UTF-8 LANG=C.UTF-8 CCACHE_DISABLE=1 build "$second" "$out/build-output-2.txt" 1
  for deb in "$out"/*.deb; do
    cmp -s "$deb" "$out/again/${deb##*/}" && continue
    failed+=" reproducibility of ${deb##*/}"
    diffoscope --text "$out/${deb##*/}.diffoscope.txt" "$deb" "$out/again/${deb##*/}" || true
  done
  rm -rf "$out/again"
fi
rm -rf "$out/work"
ls -1 "$out"/*.deb
[ -z "$failed" ] || { echo "package.sh: failed: $failed" >&2; exit 1; }
