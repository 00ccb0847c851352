#!/bin/sh
# lengths.sh: no source file is longer than 400 lines, no comment line longer than 100 columns. (Those of code are
# clang-format's business, which leaves comments as they are.)
set -eu
find core ops nn optim models cuda bench tests docs -name '*.h' -o -name '*.cpp' -o -name '*.cu' | sort |
  xargs awk '
  FNR == 401 { printf "%s: more than 400 lines; split it\n", FILENAME; failed = 1 }
  /^ *\/\// && length > 100 { printf "%s:%d: a comment of %d columns; 100 is the limit\n", FILENAME, FNR, length; failed = 1 }
  END { exit failed }'
