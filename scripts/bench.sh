#!/usr/bin/env bash
# Measures Tenet beside its peers (PyTorch, reformer-pytorch, transformers' Reformer) on this machine.
#
#   scripts/bench.sh [--only PART,...] [--repeats N] [--quick] [--continue] [option of bench/compare.py]...
#   scripts/bench.sh --device cuda      the parts of a GPU: gpu-training, gpu-kernels, gpu-ops
#   scripts/bench.sh --build DIR        programs that are built already (with TENET_BENCH)
#   scripts/bench.sh --python PATH      an interpreter that has the peers already
#
# Installs what is missing, builds into build/bench, puts the peers into build/venv, then measures for some hours
# and prints tables of medians, spreads and ratios. They are in build/bench/results.md too, and every single
# measurement in build/bench/results.jsonl. Parts: training, full, memory, generation, figure5, exponent, roofline,
# ops, long, learning; docs/benchmarks.md says what they are. Leave the machine alone meanwhile.
set -euo pipefail
here=$PWD
cd "$(dirname "$0")/.."

build=
python=
options=()
path_of() { # path_of PATH: as it is seen from where the script was called
  if [[ $1 == /* ]]; then echo "$1"; else echo "$here/$1"; fi
}
while [[ $# -gt 0 ]]; do
  case "$1" in
    --build=* | --python=* | --out=* | --text=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;;
    --build) build=$(path_of "${2:?bench.sh: --build needs a folder}"); shift 2 ;;
    --python)
      python=${2:?bench.sh: --python needs an interpreter}
      if [[ $python == */* ]]; then python=$(path_of "$python"); fi # otherwise one of $PATH
      shift 2
      ;;
    --out | --text) options+=("$1" "$(path_of "${2:?bench.sh: $1 needs a path}")"); shift 2 ;;
    -h | --help)
      sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"
      if command -v python3 >/dev/null; then python3 bench/compare.py --help; fi
      exit 0
      ;;
    *) options+=("$1"); shift ;;
  esac
done

if [[ -z $build || -z $python ]]; then
  scripts/setup.sh build bench
fi

if [[ -z $build ]]; then
  build=build/bench
  if [[ ! -f $build/build.ninja ]]; then
    echo "== configuring"
    cmake --preset release -B $build -DTENET_TESTS=OFF -DTENET_BENCH=ON
  fi
  echo "== building (nothing to do if it is up to date)"
  cmake --build $build
fi

if [[ -z $python ]]; then
  python=build/venv/bin/python
  wanted=bench/peers/requirements.txt
  if ! cmp -s $wanted build/venv/installed.txt; then
    echo "== installing the peers into build/venv"
    python3 -m venv build/venv
    $python -m pip install --quiet --disable-pip-version-check --requirement $wanted
    cp $wanted build/venv/installed.txt
  fi
fi

tiny=build/bench/tiny_libtorch # the ops of few elements in C++, against the libraries of the wheel
if [[ -f bench/peers/tiny_libtorch.sh && ! $tiny -nt bench/peers/tiny_libtorch.cpp ]]; then
  mkdir -p build/bench
  PYTHON=$python bench/peers/tiny_libtorch.sh $tiny || echo "bench.sh: no comparison with libtorch" >&2
fi

exec python3 bench/compare.py --build "$build" --python "$python" "${options[@]}"
