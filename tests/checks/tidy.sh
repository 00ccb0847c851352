#!/bin/sh
# tidy.sh CLANG_TIDY BUILD: clang-tidy over the library and its programs, as .clang-tidy says.
# The compile commands are taken without GCC's precompiled headers, which clang cannot read.
set -eu
commands=$(mktemp -d)
trap 'rm -rf "$commands"' EXIT
sed 's/ -Winvalid-pch -include [^ ]*cmake_pch\.hxx//' "$2/compile_commands.json" >"$commands/compile_commands.json"
find core ops nn optim models -name '*.cpp' | sort |
  xargs -P "$(nproc)" -n 1 "$1" -p "$commands" --quiet --warnings-as-errors='*' --extra-arg=-Wno-unknown-warning-option
