#!/bin/sh
# tidy.sh CLANG_TIDY BUILD: clang-tidy over the library and its programs, as .clang-tidy says.
set -eu
find core ops nn optim models -name '*.cpp' | sort |
  xargs -P "$(nproc)" -n 1 "$1" -p "$2" --quiet --warnings-as-errors='*' --extra-arg=-Wno-unknown-warning-option
