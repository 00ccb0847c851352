#include <doctest/doctest.h>

#include <cuda/lsh_cuda_run.h>

using namespace cuda_lsh_test;
using tenet::bf16;
using tenet::f16;

TEST_CASE("LSH attention of 16-bit types by tensor cores equals its definition") {
  compare_all<Tiles<32>, bf16>({1, 100}, {24, 7, 32}, 3e-2);
  compare_all<Tiles<64>, f16>({40}, {64, 40}, 5e-3);
  compare_all<Tiles<128>, bf16>({40}, {128, 100}, 3e-2);
}

TEST_CASE("a new position by tensor cores gets the row of the whole sequence, to the bit") {
  compare_steps<Tiles<32>, bf16>({1, 2, 40, 150}, {24, 7});
  compare_steps<Tiles<64>, f16>({170}, {64});
}

TEST_CASE("later positions change no earlier row of causal LSH attention by tensor cores") {
  compare_causal<Tiles<32>, bf16>();
}
