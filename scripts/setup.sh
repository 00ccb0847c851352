#!/usr/bin/env bash
# Installs the Debian packages that Tenet needs, those that are missing only.
#
#   scripts/setup.sh build          what the library and its programs need
#   scripts/setup.sh build test     and what scripts/test.sh needs
#   scripts/setup.sh build test all    and what scripts/test.sh --all needs
#   scripts/setup.sh build package  what scripts/package.sh needs
#   scripts/setup.sh build bench    what scripts/bench.sh needs
#
# Needs root or sudo, and only when something is missing.
set -euo pipefail

build_packages=(
  g++ cmake ninja-build pkg-config
  libdnnl-dev ocl-icd-opencl-dev # oneDNN's CMake package asks for OpenCL
  libfmt-dev nlohmann-json3-dev libcli11-dev libcairo2-dev
  xz-utils
)
test_packages=(doctest-dev clang-format-14)
all_packages=(clang-14 clang-tidy-14 libomp-14-dev libbenchmark-dev doxygen graphviz)
package_packages=(dpkg-dev file)
bench_packages=(libbenchmark-dev python3 python3-venv)

wanted=()
for list in "$@"; do
  case "$list" in
    build) wanted+=("${build_packages[@]}") ;;
    test) wanted+=("${test_packages[@]}") ;;
    all) wanted+=("${all_packages[@]}") ;;
    package) wanted+=("${package_packages[@]}") ;;
    bench) wanted+=("${bench_packages[@]}") ;;
    *) echo "setup.sh: unknown list '$list'; lists are build, test, all, package and bench" >&2; exit 2 ;;
  esac
done

if ! command -v dpkg-query >/dev/null; then
  echo "setup.sh: not a Debian system; install by hand: ${wanted[*]}" >&2
  exit 1
fi

missing=()
for package in "${wanted[@]}"; do
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [[ $status == installed ]] || missing+=("$package")
done
[[ ${#missing[@]} -eq 0 ]] && exit 0

if [[ $(id -u) -eq 0 ]]; then
  as_root=()
elif command -v sudo >/dev/null; then
  as_root=(sudo)
else
  echo "setup.sh: packages are missing and there is neither root nor sudo; as root run:" >&2
  echo "  apt-get install --no-install-recommends ${missing[*]}" >&2
  exit 1
fi

echo "setup: installing ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0 \
    -o Acquire::Retries=3 "$@" >"$log" 2>&1 </dev/null || { cat "$log" >&2; return 1; }
}
if ! apt update; then
  echo "setup.sh: apt-get update failed (above); trying the package lists at hand" >&2
fi
if ! apt install --no-install-recommends "${missing[@]}"; then
  echo "setup.sh: could not install ${missing[*]} (above)" >&2
  exit 1
fi
