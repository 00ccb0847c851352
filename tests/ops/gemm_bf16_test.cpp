/// bf16 products: every element against the documented order of sums, to the bit.
#include <tenet/ops/detail/amx.h>

#include <bit>

#include "gemm_reference.h"

using namespace gemm_test;

namespace {

bool skips_bf16() {
  if (!detail::multiplies_bf16) MESSAGE("skipped: bf16 operands are widened in this build");
  return !detail::multiplies_bf16;
}

float number(const MatrixView& x, int64_t at) { return static_cast<float>(read(x, at)); }

/// The documented sum of a block of k, term(p) being a[p] b[p]: by tile registers for 32 k after
/// the other (sum over even k) + (sum over odd k), see ops/detail/amx.h; else one chain that takes
/// the odd one of each pair first, see ops/detail/pairs.h.
template <class Term>
float sum_of(int64_t begin, int64_t end, Term&& term) {
  float sum = 0;
  if (!detail::amx::available()) {
    for (int64_t p = begin; p < end; p += 2) {
      if (p + 1 < end) sum = static_cast<float>(sum + term(p + 1));
      sum = static_cast<float>(sum + term(p));
    }
    return sum;
  }
  for (int64_t inner = begin; inner < end; inner += 32) {
    float chain[2] = {0, 0};
    for (int64_t p = inner; p < std::min(end, inner + 32); ++p) {
      chain[p % 2] += static_cast<float>(term(p));
    }
    sum += chain[0] + chain[1];
  }
  return sum;
}

/// What g writes to each element, item by item: documented sums over blocks of 1,024 k, added up.
std::vector<float> in_documented_order(const Gemm& g) {
  std::vector<float> all;
  for (int64_t item = 0; item < g.batch.numel(); ++item) {
    const std::vector<double> a = values(g.a, g.m, g.k, g, item);
    const std::vector<double> b = values(g.b, g.k, g.n, g, item);
    for (int64_t i = 0; i < g.m; ++i) {
      for (int64_t j = 0; j < g.n; ++j) {
        float total = 0;
        for (int64_t outer = 0; outer < g.k; outer += 1024) {
          const float block = sum_of(outer, std::min(g.k, outer + 1024),
                                     [&](int64_t p) { return a[i * g.k + p] * b[p * g.n + j]; });
          total = outer == 0 ? block : total + block;
        }
        if (g.bias) {
          const MatrixView bias{.data = const_cast<void*>(g.bias), .dtype = g.bias_dtype};
          total += number(bias, j * g.bias_stride);
        }
        if (g.accumulate) total = number(g.c, offset(g.c, i, j, g.batch, item)) + total;
        if (g.relu && total < 0) total = 0;
        all.push_back(g.c.dtype == DType::bf16 ? static_cast<float>(bf16(total)) : total);
      }
    }
  }
  return all;
}

void check_to_the_bit(const Gemm& g) {
  const std::vector<float> expected = in_documented_order(g);
  gemm(g);
  int64_t at = 0, wrong = 0;
  for (int64_t item = 0; item < g.batch.numel(); ++item) {
    for (int64_t i = 0; i < g.m; ++i) {
      for (int64_t j = 0; j < g.n; ++j) {
        wrong += number(g.c, offset(g.c, i, j, g.batch, item)) != expected[at++];
      }
    }
  }
  CHECK(wrong == 0);
}

}  // namespace

TEST_CASE("bf16 gemm adds in the documented order, to the bit") {
  if (skips_bf16()) return;
  std::mt19937 random(1);
  const auto roll = [&](int64_t low, int64_t high) {
    return low + static_cast<int64_t>(random() % static_cast<uint32_t>(high - low + 1));
  };
  const int64_t depths[] = {1, 2, 31, 32, 33, 63, 64, 500, 1023, 1024, 1025, 1056, 2048, 3000};
  const Layout written[] = {Layout::plain, Layout::transposed, Layout::padded,
                            Layout::padded_transposed, Layout::stepped};
  for (int trial = 0; trial < 210; ++trial) {
    const int64_t m = roll(1, 70), k = depths[trial % 14], n = roll(1, k > 500 ? 36 : 70);
    const DType to = roll(0, 1) ? DType::bf16 : DType::f32;
    const Layout la = layouts[roll(0, 6)], lb = layouts[roll(0, 6)], lc = written[roll(0, 4)];
    const std::string row =
        fmt::format("{} {} {} {} {} {} {}", m, n, k, int(la), int(lb), int(lc), to_string(to));
    CAPTURE(row);
    const Operand a = operand(m, k, DType::bf16, la, random);
    const Operand b = operand(k, n, DType::bf16, lb, random);
    const Operand c = operand(m, n, to, lc, random);
    const Operand bias =
        operand(1, n, roll(0, 1) ? DType::bf16 : DType::f32, Layout::stepped, random);
    Gemm g = product(m, n, k, a, b, c);
    g.accumulate = roll(0, 1) == 1;
    g.relu = roll(0, 1) == 1;
    if (roll(0, 1)) {
      g.bias = bias.view.data;
      g.bias_dtype = bias.view.dtype;
      g.bias_stride = bias.view.column_stride;
    }
    check_to_the_bit(g);
  }
}

TEST_CASE("bf16 gemm rounds f32 operands as bf16(float) does") {
  CHECK(detail::gemm_rounds(DType::bf16) == detail::multiplies_bf16);
  CHECK_FALSE(detail::gemm_rounds(DType::f16));
  if (skips_bf16()) return;
  std::mt19937 random(4);
  const int64_t sizes[][3] = {{1, 1, 1}, {16, 16, 32}, {37, 21, 70}, {70, 45, 33}, {5, 40, 1030}};
  for (const auto& [m, n, k] : sizes) {
    for (int trial = 0; trial < 49 * 3; ++trial) {
      const Layout la = layouts[trial % 7], lb = layouts[trial / 7 % 7];
      const int which = trial / 49 + 1;  // bit 0: A is f32, bit 1: B is
      const std::string row = fmt::format("{} {} {} {} {} {}", m, n, k, int(la), int(lb), which);
      CAPTURE(row);
      Operand wide[2] = {operand(m, k, DType::f32, la, random),
                         operand(k, n, DType::f32, lb, random)};
      Operand narrow[2] = {operand(m, k, DType::bf16, la, random),
                           operand(k, n, DType::bf16, lb, random)};
      for (int side = 0; side < 2; ++side) {
        const auto count = static_cast<int64_t>(narrow[side].bytes.size() / sizeof(bf16));
        for (int64_t i = 0; i < count; ++i) {
          auto* x = static_cast<float*>(wide[side].view.data) + i;
          if (random() % 4 == 0)
            *x = std::bit_cast<float>(
                static_cast<uint32_t>(random() & 0x81ff8000u));  // around 2^-126
          static_cast<bf16*>(narrow[side].view.data)[i] = bf16(*x);
        }
      }
      const Operand expected = operand(m, n, DType::f32, Layout::plain, random);
      const Operand c = operand(m, n, DType::f32, Layout::plain, random);
      gemm(product(m, n, k, narrow[0], narrow[1], expected));
      Gemm g = product(m, n, k, wide[0], wide[1], c);
      if (!(which & 1)) g.a = narrow[0].view;
      if (!(which & 2)) g.b = narrow[1].view;
      g.type = DType::bf16;
      gemm(g);
      const auto bytes = static_cast<size_t>(m * n) * sizeof(float);
      CHECK(std::memcmp(c.view.data, expected.view.data, bytes) == 0);
    }
  }
}

TEST_CASE("bf16 gemm: batches, repeated") {
  if (skips_bf16()) return;
  std::mt19937 random(2);
  const Shape batch{2, 3, 2};
  const int64_t sizes[][3] = {{1, 5, 33}, {7, 40, 31}, {17, 16, 64}, {9, 18, 1025}, {1, 1, 1}};
  for (const auto& [m, n, k] : sizes) {
    for (const DType to : {DType::bf16, DType::f32}) {
      for (const Layout layout : {Layout::plain, Layout::transposed, Layout::stepped}) {
        const Operand a = operand(m, k, DType::bf16, layout, random, batch);
        const Operand b = operand(k, n, DType::bf16, layout, random, batch);
        const Operand c = operand(m, n, to, layout, random, batch);
        for (int repeated = 0; repeated < 16; ++repeated) {
          const std::string row = fmt::format("{} {} {} {} {}", m, n, k, int(layout), repeated);
          CAPTURE(row);
          Gemm g{.m = m, .n = n, .k = k, .batch = batch, .a = a.view, .b = b.view, .c = c.view};
          repeat_operands(g, repeated);
          check_to_the_bit(g);
        }
      }
    }
  }
}

TEST_CASE("bf16 gemm: what is not finite, and what rounds to infinity, in f32 operands") {
  if (skips_bf16()) return;
  for (const uint32_t word : {0x7f800000u, 0xff800000u, 0x7fc00000u, 0x7f800001u, 0x7fffffffu,
                              0xffffffffu, 0x7f7fffffu, 0x7f7f7fffu, 0x3f808000u, 0x3f818000u}) {
    float x = std::bit_cast<float>(word), one = 1;
    bf16 y;
    detail::gemm({.m = 1,
                  .n = 1,
                  .k = 1,
                  .a = {&x},
                  .b = {&one},
                  .c = {&y, DType::bf16},
                  .type = DType::bf16});
    const bf16 expected(x);
    CHECK(std::isnan(float(y)) == std::isnan(float(expected)));
    if (!std::isnan(x)) CHECK(y.bits == expected.bits);
  }
}

TEST_CASE("bf16 gemm writes nothing beside C") {
  if (skips_bf16()) return;
  std::mt19937 random(3);
  for (const auto& [m, n] : {std::pair{1, 1}, {5, 17}, {33, 15}, {47, 65}}) {
    for (const DType to : {DType::bf16, DType::f32}) {
      const Operand a = operand(m, 40, DType::bf16, Layout::plain, random);
      const Operand b = operand(40, n, DType::bf16, Layout::plain, random);
      Operand c = operand(m, n, to, Layout::stepped, random);
      const auto size = static_cast<size_t>(itemsize(to));
      const std::vector<std::byte> before = c.bytes;
      gemm(product(m, n, 40, a, b, c));
      for (size_t at = 0; at < c.bytes.size(); ++at) {
        const size_t element = at / size;
        const bool own = element % 3 == 0 && element / 3 < static_cast<size_t>(m * n);
        if (!own) REQUIRE(c.bytes[at] == before[at]);
      }
    }
  }
}

TEST_CASE("bf16 gemm: what is not finite stays in its row and column") {
  if (skips_bf16()) return;
  std::mt19937 random(4);
  const int64_t m = 37, n = 35, k = 70;
  for (const float bad : {NAN, INFINITY}) {
    const Operand a = operand(m, k, DType::bf16, Layout::plain, random);
    const Operand b = operand(k, n, DType::bf16, Layout::transposed, random);
    write(a.view, offset(a.view, 17, 33, {}, 0), bad);
    write(b.view, offset(b.view, 69, 34, {}, 0), bad);
    const Operand c = operand(m, n, DType::f32, Layout::plain, random);
    gemm(product(m, n, k, a, b, c));
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        CHECK(std::isfinite(number(c.view, i * n + j)) == (i != 17 && j != 34));
      }
    }
  }
}
