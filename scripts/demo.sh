#!/usr/bin/env bash
# Trains a Reformer on Tenet's own source code and shows what came of it, within 15 minutes on two cores.
#
#   scripts/demo.sh [--minutes N] [--text FILE] [option of `reformer train`]...
#
# Installs what is missing, builds, trains, then prints held-out bits/byte beside classical byte models, a
# sample of the model's writing, and where the picture and the checkpoint are. Run again, it starts training
# at once. --text FILE: another text than the source code.
set -euo pipefail
here=$PWD
cd "$(dirname "$0")/.."

minutes=
text=()
options=()
while [[ $# -gt 0 ]]; do
  case "$1" in
    --minutes) minutes=${2:?demo.sh: --minutes needs a number}; shift 2 ;;
    --minutes=*) minutes=${1#*=}; shift ;;
    --text) text=(--text "$(cd "$here" && realpath -e -- "${2:?demo.sh: --text needs a file}")"); shift 2 ;;
    --text=*) text=(--text "$(cd "$here" && realpath -e -- "${1#*=}")"); shift ;;
    -h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"; exit 0 ;;
    --out | --out=*) echo "demo.sh: --out is chosen, under build/demo; 'reformer train' takes one" >&2; exit 2 ;;
    *) options+=("$1"); shift ;;
  esac
done
given() { # given OPTION: whether it is among the options
  local option
  for option in "${options[@]}"; do
    if [[ $option == "$1" || $option == "$1="* ]]; then return 0; fi
  done
  return 1
}
given --config || given --layers || options+=(--layers 4)
given --config || given --d-ff || options+=(--d-ff 512)

build=build/release
scripts/setup.sh build
if [[ ! -f $build/build.ninja ]]; then
  echo "== configuring"
  cmake --preset release -DTENET_TESTS=OFF
fi
echo "== building (nothing to do if it is up to date)"
cmake --build $build --target reformer byte_baselines

# Unless told otherwise train for 6 minutes, or for what set-up and build have left of them: 3 minutes of the
# 15 are kept for what follows the training.
if [[ -z $minutes ]] && ! given --steps; then
  minutes=$(((12 * 60 - SECONDS) / 60))
  minutes=$((minutes > 6 ? 6 : minutes < 2 ? 2 : minutes))
fi
[[ -z $minutes ]] || options+=(--minutes "$minutes")

out=build/demo/$(date +%Y-%m-%d-%H%M%S)
mkdir -p "$out"
echo "== training${minutes:+ for $minutes minutes} (Ctrl-C stops early and keeps the model)"
$build/reformer train "${text[@]}" --out "$out/model" "${options[@]}" || [[ $? -eq 130 ]] # 130: Ctrl-C

echo
echo "== held-out bits per byte"
$build/byte_baselines "${text[@]}" --dump "$out/text"
size() { xz -9e -c | wc -c; }
train_size=$(size <"$out/text/train.bin")
both_size=$(cat "$out/text/train.bin" "$out/text/valid.bin" | size)
awk -v bytes=$((both_size - train_size)) -v of="$(wc -c <"$out/text/valid.bin")" \
  'BEGIN { printf "xz -9e (training + held-out minus training)  %.4f\n", 8 * bytes / of }'
echo
$build/reformer eval --model "$out/model" --text "$out/text/valid.bin" --part all

echo
echo "== a sample"
prompt='#include <tenet/'
if [[ ${#text[@]} -gt 0 ]]; then prompt=$(head -c 16 "$out/text/valid.bin" | tr -d '\0'); fi
$build/reformer generate --model "$out/model" --prompt "$prompt" \
  --temperature 0.8 --top-p 0.95 --seed 1

picture=$out/model/loss.png
[[ -f $picture ]] || picture=$out/model/loss.svg
echo
echo "picture     $PWD/$picture"
echo "checkpoint  $PWD/$out/model"
echo "minutes     $((SECONDS / 60)):$(printf %02d $((SECONDS % 60)))"
