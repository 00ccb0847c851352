#include <doctest/doctest.h>

#include <cuda/lsh_cuda_run.h>

using namespace cuda_lsh_test;
using tenet::bf16;
using tenet::f16;

TEST_CASE("LSH attention of 16-bit types by tensor cores equals its definition") {
  compare_all<Tiles<32>, bf16>({1, 40, 150}, {24, 7, 32}, 3e-2);
  compare_all<Tiles<64>, f16>({70}, {64, 40}, 5e-3);
  compare_all<Tiles<128>, bf16>({70}, {128, 100}, 3e-2);
}

TEST_CASE("a new position by tensor cores gets the row of the whole sequence, to the bit") {
  compare_steps<Tiles<32>, bf16>({1, 2, 40, 150}, {24, 7});
  compare_steps<Tiles<64>, f16>({170}, {64});
}

TEST_CASE("later positions change no earlier row of causal LSH attention by tensor cores") {
  tiles::LshShape shape{.B = 1, .H = 2, .L = 150, .R = 2};
  shape.size = 16, shape.window = 40;
  Run<bf16> run(shape, {4}, 3, false);
  hash_emulated(run);
  run.sort();
  run_forward<Tiles<32>>(run);
  const Array<bf16> y = run.y;
  const int64_t kept = 97;
  for (int64_t h = 0; h < 2; ++h) {
    for (int64_t i = kept; i < shape.L; ++i) {
      for (int64_t n = 0; n < shape.size; ++n) {
        run.v.at(0, h, i)[n] = i % 3 == 0 ? NAN : INFINITY;
        if (i % 2 == 0) run.q.at(0, h, i)[n] = bf16(-float(run.q.at(0, h, i)[n]));
      }
    }
  }
  hash_emulated(run);
  run.sort();
  run_forward<Tiles<32>>(run);
  for (int64_t h = 0; h < 2; ++h) {
    for (int64_t i = 0; i < kept; ++i) {
      CHECK(std::memcmp(y.at(0, h, i), run.y.at(0, h, i), shape.size * sizeof(bf16)) == 0);
    }
  }
}
