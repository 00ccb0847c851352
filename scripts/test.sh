#!/usr/bin/env bash
# Builds Tenet and runs its tests; the last thing printed is ctest's summary.
#
#   scripts/test.sh          release build, default suite, checks of the source tree
#   scripts/test.sh --all    also the suite under ASan and UBSan, threads under TSan, a build with clang, the kernels
#                            of packages, the slow cases, clang-tidy and bench/
#
# Where there is an nvcc, the release build has the CUDA kernels. Without a GPU they are compiled and linked, the
# tests that need one are skipped, and the rest of the library runs on a stand-in for a GPU. scripts/gpu-check.sh
# checks a machine with a GPU.
set -euo pipefail
cd "$(dirname "$0")/.."

slow=OFF
case "${1-}" in
  "") ;;
  --all) slow=ON ;;
  *) echo "usage: scripts/test.sh [--all]" >&2; exit 2 ;;
esac

run_suite() { # run_suite PRESET CTEST_ARGUMENTS...
  ctest --test-dir "build/$1" --output-on-failure --no-tests=error --parallel "$(nproc)" "${@:2}"
}

lists=(build test)
[[ $slow == ON ]] && lists+=(all)
scripts/setup.sh "${lists[@]}"

nvcc=$(command -v nvcc || ls /usr/local/cuda/bin/nvcc 2>/dev/null || true)
if [[ -n $nvcc ]]; then
  architecture=90-real # one, for the sake of time: what is compiled is to be linked, not to be run
  [[ -e /dev/nvidia0 || -e /dev/dxg ]] && architecture=native
  cuda=(-DTENET_CUDA=ON -DCMAKE_CUDA_COMPILER="$nvcc" "-DCMAKE_CUDA_ARCHITECTURES=$architecture")
else
  echo "== CUDA is left out: there is no nvcc"
  cuda=(-DTENET_CUDA=OFF)
fi

if [[ $slow == ON ]]; then
  echo "== ASan and UBSan"
  cmake --preset asan -DTENET_TESTS=ON
  cmake --build --preset asan
  run_suite asan

  echo "== TSan"
  cmake --preset tsan -DTENET_TESTS=ON
  cmake --build --preset tsan --target tenet_tests_models
  run_suite tsan --tests-regex '^models/threads$'

  echo "== clang"
  cmake --preset release -B build/clang -DCMAKE_CXX_COMPILER=clang++-14 -DTENET_CUDA=OFF -DTENET_TESTS=OFF \
    -DTENET_BENCH=ON
  cmake --build build/clang

  echo "== kernels for x86-64-v2, -v3 and -v4"
  cmake --preset package -DTENET_TESTS=ON
  cmake --build --preset package
  run_suite package --tests-regex '^checks/(levels|ops_v2|ops_v3|consumer)$'
fi

echo "== release"
cmake --preset release -DTENET_TESTS=ON -DTENET_SLOW_TESTS=$slow -DTENET_BENCH=$slow "${cuda[@]}"
cmake --build --preset release
run_suite release
