#!/usr/bin/env bash
# Checks Tenet on a machine with a GPU, in a few minutes and without a network: builds, tests, looks for bad memory
# accesses and races in kernels, measures. The last thing printed is a table of what passed.
#
#   scripts/gpu-check.sh [--packages DIR] [--out DIR] [--python EXE] [--no-bench]
#   scripts/gpu-check.sh --fetch DIR    elsewhere, on Debian 12 with a network: downloads the packages into DIR
#
#   --packages DIR   .deb files to unpack (not to install) where the machine lacks fmt, doctest, oneDNN,
#                    nlohmann-json and CLI11
#   --out DIR        logs and tables (default build/gpu-check)
#   --python EXE     an interpreter with PyTorch for the comparisons (default python3; without torch: Tenet alone)
#
# Exit status: 0 if nothing failed; what could not be tried is listed, and fails nothing.
set -euo pipefail
here=$PWD
cd "$(dirname "$0")/.."

packages=
out=build/gpu-check
python=python3
bench=yes
usage() { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"; }
stop() { echo "gpu-check.sh: $*" >&2; exit 2; }
path_of() { # path_of PATH: as it is seen from where the script was called
  if [[ $1 == /* ]]; then echo "$1"; else echo "$here/$1"; fi
}

wanted=(libfmt-dev doctest-dev libdnnl-dev libdnnl2 ocl-icd-opencl-dev ocl-icd-libopencl1 opencl-c-headers
  opencl-clhpp-headers nlohmann-json3-dev libcli11-dev libbenchmark-dev)

fetch() { # the packages above and, for the version at hand, the libraries behind them
  command -v apt-get >/dev/null || stop "--fetch needs apt-get"
  mkdir -p "$1"
  local names
  names=$(printf '%s\n' "${wanted[@]}" && apt-cache depends libfmt-dev libbenchmark-dev |
    sed -n 's/.*Depends: \(libfmt[0-9]*\|libbenchmark1[a-z]*\)$/\1/p')
  # shellcheck disable=SC2086  # names of packages
  (cd "$1" && apt-get download -q $names)
  du -sh "$1"
}

while [[ $# -gt 0 ]]; do
  case "$1" in
    --fetch) fetch "$(path_of "${2:?gpu-check.sh: --fetch needs a folder}")"; exit ;;
    --packages) packages=$(path_of "${2:?gpu-check.sh: --packages needs a folder}"); shift 2 ;;
    --out) out=$(path_of "${2:?gpu-check.sh: --out needs a folder}"); shift 2 ;;
    --python)
      python=${2:?gpu-check.sh: --python needs an interpreter}
      if [[ $python == */* ]]; then python=$(path_of "$python"); fi # otherwise one of $PATH
      shift 2
      ;;
    --no-bench) bench=no; shift ;;
    -h | --help) usage; exit ;;
    *) stop "unknown option '$1'; see --help" ;;
  esac
done

if ! nvidia-smi -L 2>/dev/null | grep -q GPU; then stop "nvidia-smi finds no GPU"; fi
nvcc=$(command -v nvcc || ls /usr/local/cuda/bin/nvcc 2>/dev/null) || stop "there is no nvcc"
for tool in cmake ninja g++; do
  command -v $tool >/dev/null || stop "there is no $tool"
done
mkdir -p "$out"
out=$(cd "$out" && pwd)
build=$PWD/build/gpu

if [[ -n $packages ]]; then
  compgen -G "$packages/*.deb" >/dev/null || stop "$packages holds no .deb files; make it with --fetch"
  root=$PWD/build/gpu-packages
  mkdir -p "$root"
  for file in "$packages"/*.deb; do dpkg-deb -x "$file" "$root"; done
  libraries=$root/usr/lib/$(g++ -print-multiarch)
  export CMAKE_PREFIX_PATH=$root/usr${CMAKE_PREFIX_PATH:+:$CMAKE_PREFIX_PATH}
  export LD_LIBRARY_PATH=$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
  export LIBRARY_PATH=$libraries${LIBRARY_PATH:+:$LIBRARY_PATH}
fi

summary=()
failed=0
step() { # step NAME SECONDS COMMAND...: runs it, with its output in a log
  local name=$1 limit=$2 start=$SECONDS status=0
  shift 2
  echo "== $name"
  timeout "$limit" "$@" >"$out/$name.log" 2>&1 || status=$?
  local word=passed
  if [[ $status -eq 124 ]]; then
    word="stopped after $limit s"
    case "$name" in
      memcheck | racecheck) # errors are in the log as they come
        if grep -qE '^=+ +(Invalid|Misaligned|(Error|Warning): (Race|Potential))' "$out/$name.log"; then
          word="FAILED in $limit s"
          failed=1
        else
          status=0
        fi
        ;;
      *) failed=1 ;;
    esac
  elif [[ $status -ne 0 ]]; then
    word="FAILED ($status)"
    failed=1
    tail -n 30 "$out/$name.log"
  fi
  summary+=("$(printf '%-12s %-22s %4d s  %s' "$name" "$word" $((SECONDS - start)) "$(facts "$name")")")
  return $status
}
facts() { # the line of a log that says most
  case "$1" in
    tests) grep -E '^[0-9]+% tests passed' "$out/tests.log" || true ;;
    optable) grep -hoE '[0-9]+ comparisons with CUDA' "$out/optable.log" | tail -n 1 || true ;;
    memcheck | racecheck) grep -hE 'ERROR SUMMARY|RACECHECK SUMMARY' "$out/$1.log" | tail -n 1 | sed 's/^=* *//' || true ;;
    *) ;;
  esac
}
finish() {
  echo
  nvidia-smi --query-gpu=name,driver_version --format=csv,noheader
  "$nvcc" --version | tail -n 2 | head -n 1
  printf '%s\n' "${summary[@]}"
  echo "logs: $out"
  exit $failed
}

step configure 60 cmake --preset release -B "$build" -DTENET_CUDA=ON -DCMAKE_CUDA_COMPILER="$nvcc" \
  -DCMAKE_CUDA_ARCHITECTURES=native -DTENET_TESTS=ON -DTENET_INSTALL=OFF || finish
targets=(tenet_tests_core tenet_tests_ops tenet_tests_optim tenet_tests_models tenet_tests_cuda reformer)
step build 400 cmake --build "$build" --parallel "$(nproc)" --target "${targets[@]}" || finish

run=(env OMP_WAIT_POLICY=passive OMP_NUM_THREADS=4 TENET_REFERENCE="$PWD/tests/reference")
step optable 120 "${run[@]}" TENET_OP_TABLE=cuda "$build/tests/tenet_tests_ops" '--test-case=op table*' || true
step tests 180 ctest --test-dir "$build" --output-on-failure --parallel "$(nproc)" \
  --tests-regex '^(gpu|cuda|stand_in|ops|optim)/' || true

if command -v compute-sanitizer >/dev/null; then
  checked=("${run[@]}" TENET_OP_TABLE=cuda compute-sanitizer --error-exitcode 9 --print-limit 20)
  rows= # those that share memory among threads
  for words in 'matrix products' conv2d softmax norm sum 'by index' 'order and parts' sort extremes cross_entropy attention stream; do
    rows+="${rows:+,}op table*$words*"
  done
  step memcheck 75 "${checked[@]}" --tool memcheck --leak-check no "$build/tests/tenet_tests_ops" "--test-case=$rows" || true
  step racecheck 75 "${checked[@]}" --tool racecheck "$build/tests/tenet_tests_ops" "--test-case=$rows" || true
else
  summary+=("memcheck     not tried: there is no compute-sanitizer")
fi

if [[ $bench == yes ]]; then
  sizes=(--layers 12 --d-model 1024 --heads 8 --d-ff 4096 --hashes 2 --chunk 128 --dtype bf16)
  for length in 4096 16384 65536; do
    if step "step-$length" 90 "$build/reformer" bench step --device cuda "${sizes[@]}" --length $length \
      --batch $((65536 / length)) --steps 3 --json; then
      summary+=("             $(tail -n 1 "$out/step-$length.log" | grep -oE '"(tokens_per_second|peak_bytes)": ?[0-9.e+]+' | tr '\n' ' ')")
    fi
  done
  if "$python" -c 'import torch; torch.cuda.init()' 2>/dev/null; then
    programs=$build
    if cmake -B "$build" -DTENET_BENCH=ON >"$out/bench-configure.log" 2>&1 &&
      step bench-build 120 cmake --build "$build" --parallel "$(nproc)" --target bench_ops bench_gpu_kernels; then
      step bench 150 "$python" bench/compare.py --device cuda --quick --build "$programs" --python "$python" \
        --out "$out/bench" --limit 60 || true
      [[ -e $out/bench/results.md ]] && cat "$out/bench/results.md"
    else
      summary+=("bench        not tried: google-benchmark is missing (libbenchmark-dev)")
    fi
  else
    summary+=("bench        not tried: $python has no torch that sees the GPU (--python)")
  fi
fi
finish
