#include <doctest/doctest.h>

#include <cuda/lsh_cuda_run.h>

using namespace cuda_lsh_test;

TEST_CASE("LSH attention of f32 and f64 in tiles equals its definition") {
  compare_all<Plain<64>, float>({1, 100}, {3, 6, 16, 19, 64}, 3e-5);
  compare_all<Plain<128>, float>({40}, {128, 100}, 3e-5);
  compare_all<Plain<64>, double>({40}, {6, 40}, 1e-12);
}

TEST_CASE("a new position gets the row that tiles give the whole sequence, to the bit") {
  compare_steps<Plain<64>, float>({1, 2, 40, 150}, {6, 33});
  compare_steps<Plain<64>, double>({90}, {24});
}

TEST_CASE("later positions change no earlier row of causal LSH attention in tiles") {
  compare_causal<Plain<64>, float>();
}
