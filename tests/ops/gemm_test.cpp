#include "gemm_reference.h"

using namespace gemm_test;

TEST_CASE("gemm: every type and layout against a naive sum") {
  std::mt19937 random(1);
  const int64_t sizes[][3] = {{1, 1, 1},    {2, 3, 4},   {1, 17, 5},   {31, 1, 40},
                              {5, 33, 300}, {64, 48, 9}, {70, 65, 33}, {15, 258, 64}};
  for (const DType dtype : dtypes) {
    for (const auto& [m, n, k] : sizes) {
      for (const Layout la : layouts) {
        for (const Layout lb : layouts) {
          const std::string row =
              fmt::format("{} {} {} {} {} {}", to_string(dtype), m, n, k, int(la), int(lb));
          CAPTURE(row);
          const Operand a = operand(m, k, dtype, la, random), b = operand(k, n, dtype, lb, random);
          check_against_naive(product(m, n, k, a, b, operand(m, n, dtype, Layout::plain, random)));
        }
      }
    }
  }
}

TEST_CASE("gemm: strided results, bias and accumulation") {
  std::mt19937 random(2);
  for (const DType dtype : {DType::f32, DType::f64, DType::bf16, DType::f16}) {
    for (const Layout lc : {Layout::plain, Layout::transposed, Layout::padded, Layout::stepped}) {
      for (const bool accumulate : {false, true}) {
        for (const DType bias_dtype : {DType::boolean, dtype, DType::f32}) {
          for (const int64_t k : {20, 1100}) {
            const std::string row = fmt::format("{} {} {} {} {}", to_string(dtype), int(lc),
                                                accumulate, to_string(bias_dtype), k);
            CAPTURE(row);
            const int64_t m = 37, n = 66;
            const Operand a = operand(m, k, dtype, Layout::plain, random);
            const Operand b = operand(k, n, dtype, Layout::transposed, random);
            const Operand bias = operand(1, n, bias_dtype == DType::boolean ? dtype : bias_dtype,
                                         Layout::stepped, random);
            Gemm g = product(m, n, k, a, b, operand(m, n, dtype, lc, random));
            const Operand c = operand(m, n, dtype, lc, random);
            g.c = c.view;
            g.accumulate = accumulate;
            if (bias_dtype != DType::boolean) {
              g.bias = bias.view.data;
              g.bias_dtype = bias_dtype;
              g.bias_stride = bias.view.column_stride;
            }
            check_against_naive(g);
          }
        }
      }
    }
  }
}

TEST_CASE("gemm: batches, repeated and permuted") {
  std::mt19937 random(3);
  for (const DType dtype : dtypes) {
    for (const int64_t m : {1, 7, 64}) {
      const int64_t n = 20, k = 34;
      const Shape batch{2, 3, 2};
      const Operand a = operand(m, k, dtype, Layout::plain, random, batch);
      const Operand b = operand(k, n, dtype, Layout::transposed, random, batch);
      const Operand c = operand(m, n, dtype, Layout::plain, random, batch);
      for (int repeated = 0; repeated < 16; ++repeated) {
        const std::string row = fmt::format("{} {} {}", to_string(dtype), m, repeated);
        CAPTURE(row);
        Gemm g{.m = m, .n = n, .k = k, .batch = batch, .a = a.view, .b = b.view, .c = c.view};
        repeat_operands(g, repeated);
        check_against_naive(g);
      }
    }
  }
}

TEST_CASE("gemm: half types give f32 where asked") {
  std::mt19937 random(4);
  for (const DType dtype : {DType::bf16, DType::f16}) {
    const Operand a = operand(40, 600, dtype, Layout::plain, random);
    const Operand b = operand(600, 30, dtype, Layout::plain, random);
    const Operand c = operand(40, 30, DType::f32, Layout::plain, random);
    check_against_naive(product(40, 30, 600, a, b, c));
  }
}

TEST_CASE("gemm: empty sizes") {
  std::mt19937 random(5);
  for (const DType dtype : dtypes) {
    const Operand a = operand(3, 4, dtype, Layout::plain, random);
    Operand c = operand(3, 4, dtype, Layout::plain, random);
    const auto before = c.bytes;
    gemm(product(0, 4, 4, a, a, c));
    gemm(product(3, 0, 4, a, a, c));
    Gemm none = product(3, 4, 4, a, a, c);
    none.batch = {2, 0};
    none.a.batch_strides = none.b.batch_strides = none.c.batch_strides = {0, 0};
    gemm(none);
    Gemm adds = product(3, 4, 0, a, a, c);
    adds.accumulate = true;
    gemm(adds);
    CHECK(c.bytes == before);
    gemm(product(3, 4, 0, a, a, c));
    for (int64_t i = 0; i < 12; ++i) CHECK(read(c.view, i) == 0);
  }
}

TEST_CASE("gemm: unsupported types are an error") {
  std::mt19937 random(6);
  const Operand a = operand(2, 2, DType::f32, Layout::plain, random);
  const Operand b = operand(2, 2, DType::f64, Layout::plain, random);
  CHECK_THROWS_WITH_AS(gemm(product(2, 2, 2, a, b, a)), "matmul: f32 x f64 -> f32 is not supported",
                       Error);
  Gemm g = product(2, 2, 2, a, a, a);
  g.a.dtype = g.b.dtype = g.c.dtype = DType::boolean;
  CHECK_THROWS_WITH_AS(gemm(g), "matmul: dtype boolean is not supported", Error);
}
