#include <doctest/doctest.h>

#include <cuda/attention_run.h>

using namespace cuda_attention_test;

TEST_CASE("band attention by a warp for each row equals its definition") {
  compare_all<General, float>({1, 2, 17, 33, 70}, {1, 5, 16, 33, 64}, 2e-5);
  compare_all<General, double>({1, 7, 65}, {3, 40}, 1e-12);
  compare_all<General, tenet::bf16>({40}, {24}, 1e-2);
  compare_all<General, tenet::f16>({40}, {24}, 2e-3);
}
