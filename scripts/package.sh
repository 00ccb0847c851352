#!/usr/bin/env bash
# Builds Tenet for any x86-64-v2 processor and better, and the Debian packages of it, into build/package.
#
#   scripts/package.sh                      then: apt install ./build/package/*.deb
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh build package
cmake --preset package
cmake --build --preset package
rm -f build/package/*.deb
(cd build/package && cpack -G DEB)
