/// Products of pairs of bf16 against their documented chain, to the bit.
#include <doctest/doctest.h>
#include <tenet/ops/detail/pairs.h>

#include <cmath>
#include <random>
#include <vector>

#if TENET_HAVE_AVX512

using namespace tenet;
using detail::PairProduct;

namespace {

std::vector<bf16> numbers(int64_t count, std::mt19937& random) {
  std::vector<bf16> x;
  for (int64_t i = 0; i < count; ++i) {
    x.emplace_back(
        std::ldexp(static_cast<float>(random() % 511) - 255, static_cast<int>(random() % 12) - 8));
  }
  return x;
}

/// Element (i, j) of x's product, added to `sum`.
float chain(const PairProduct& x, int64_t i, int64_t j, float sum) {
  const bf16* a = x.a + i * x.a_row;
  const bf16* b = x.b + j / 16 * x.b_vector + j % 16 * 2;
  for (int64_t p = 0; p < x.pairs; ++p) {
    const bf16* const left = a + p / 16 * x.a_group + p % 16 * x.a_pair;
    const bf16* const right = b + p / 16 * x.b_group + p % 16 * x.b_pair;
    for (const int odd : {1, 0}) {
      sum = std::fma(static_cast<float>(left[odd]), static_cast<float>(right[odd]), sum);
    }
  }
  return sum;
}

}  // namespace

TEST_CASE("products of pairs are the documented chains, by instruction and without") {
  std::mt19937 random(1);
  for (int trial = 0; trial < 200; ++trial) {
    CAPTURE(trial);
    PairProduct x{};
    x.rows = 1 + random() % 24, x.vectors = 1 + random() % 5, x.pairs = 1 + random() % 40;
    const bool transposed = trial % 2 == 1;
    x.a_row = transposed ? 2 : 2 * x.pairs + random() % 5;
    x.a_pair = transposed ? 2 * x.rows + 2 * (random() % 3) : 2;
    x.a_group = 16 * x.a_pair + 2 * (random() % 3);
    x.b_vector = 32, x.b_pair = 32 * x.vectors, x.b_group = 16 * x.b_pair + 2 * (random() % 3);
    x.c_row = 16 * x.vectors + random() % 4;
    x.add = random() % 2 == 1;
    const std::vector<bf16> a = numbers(x.rows * x.a_row + 3 * x.a_group + 64 * x.a_pair, random);
    const std::vector<bf16> b = numbers(4 * x.b_group, random);
    x.a = a.data(), x.b = b.data();
    const std::vector<float> before(static_cast<size_t>(x.rows * x.c_row), 0.5F);
    for (const bool native : {false, true}) {
      if (native && !detail::bf16_instructions) continue;
      std::vector<float> c = before;
      x.c = c.data();
      detail::multiply_pairs(x, native);
      int64_t wrong = 0;
      for (int64_t at = 0; at < std::ssize(c); ++at) {
        const int64_t i = at / x.c_row, j = at % x.c_row;
        const float want = j < 16 * x.vectors ? chain(x, i, j, x.add ? 0.5F : 0.0F) : 0.5F;
        wrong += c[static_cast<size_t>(at)] != want;
      }
      CHECK(wrong == 0);
    }
  }
}

#else

TEST_CASE("products of pairs of bf16") { MESSAGE("skipped: not in this build"); }

#endif
