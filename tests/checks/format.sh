#!/bin/sh
# format.sh CLANG_FORMAT: every source file is as clang-format would write it.
# Runs in the repository root, as all checks do.
set -eu
find core ops nn optim models cuda bench tests docs -name '*.h' -o -name '*.cpp' -o -name '*.cu' |
  sort | xargs -P "$(nproc)" -n 8 "$1" --dry-run --Werror
