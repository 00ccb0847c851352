#!/bin/sh
# test_files.sh: test cases stand only where ctest finds them, in tests/{core,ops,nn,optim,models,cuda}/**_test.cpp.
set -eu
strays=$(grep -rlE '^[ \t]*TEST_CASE' tests --include='*.cpp' |
  grep -vE '^tests/(core|ops|nn|optim|models|cuda)/.*_test\.cpp$' || true)
[ -z "$strays" ] || { echo "no ctest entry runs the cases of: $strays"; exit 1; }
