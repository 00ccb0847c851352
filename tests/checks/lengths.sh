#!/bin/sh
# lengths.sh: no source file is longer than 400 lines. (Columns are clang-format's business.)
set -eu
find core ops nn optim models cuda bench tests docs -name '*.h' -o -name '*.cpp' -o -name '*.cu' | sort |
  xargs awk '
  FNR == 401 { printf "%s: more than 400 lines; split it\n", FILENAME; failed = 1 }
  END { exit failed }'
