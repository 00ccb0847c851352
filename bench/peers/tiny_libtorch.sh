#!/bin/sh
# tiny_libtorch.sh PROGRAM: compiles tiny_libtorch.cpp against the libraries of $PYTHON's PyTorch.
set -eu
root=$("${PYTHON:-python3}" -c 'import os, torch; print(os.path.dirname(torch.__file__))')
abi=$("${PYTHON:-python3}" -c 'import torch; print(int(torch.compiled_with_cxx11_abi()))')
exec "${CXX:-c++}" -std=c++20 -O3 -DNDEBUG -D_GLIBCXX_USE_CXX11_ABI="$abi" \
  -isystem "$root/include" -isystem "$root/include/torch/csrc/api/include" \
  "$(dirname "$0")/tiny_libtorch.cpp" -o "$1" \
  -L"$root/lib" -Wl,-rpath,"$root/lib" -ltorch_cpu -lc10
