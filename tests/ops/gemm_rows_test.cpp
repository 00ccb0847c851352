/// The order of sums: rows, threads, long inner sizes.
#include "gemm_reference.h"

using namespace gemm_test;

namespace {

/// Whether the kernels were compiled with fused multiply-adds, as all but unoptimised builds are:
/// then (1 + e)^2 - (1 + 2 e) is e^2, else 0.
bool kernels_fuse() {
  std::mt19937 random(1);
  Operand a = operand(1, 2, DType::f32, Layout::plain, random);
  Operand b = operand(2, 1, DType::f32, Layout::plain, random);
  const Operand c = operand(1, 1, DType::f32, Layout::plain, random);
  const double left[] = {1, 1 + 0x1p-12}, right[] = {-1 - 0x1p-11, 1 + 0x1p-12};
  for (int64_t p = 0; p < 2; ++p) {
    write(a.view, offset(a.view, 0, p, {}, 0), left[p]);
    write(b.view, offset(b.view, p, 0, {}, 0), right[p]);
  }
  gemm(product(1, 1, 2, a, b, c));
  return *static_cast<const float*>(c.view.data) != 0;
}

template <class T>
T add_product(T a, T b, T c) {
  static const bool fuse = kernels_fuse();
  const volatile T product = a * b;
  return fuse ? std::fma(a, b, c) : product + c;
}

}  // namespace

// Note [Order of products]

TEST_CASE("gemm: f32 and f64 add in the documented order, to the bit") {
  std::mt19937 random(7);
  const int64_t sizes[][3] = {{1, 40, 7},    {2, 2, 256},    {3, 64, 300},  {15, 33, 64},
                              {16, 70, 513}, {300, 17, 258}, {33, 1, 2100}, {64, 640, 1024}};
  const auto run = [&]<class T>(DType dtype) {
    for (const auto& [m, n, k] : sizes) {
      const Operand rows = operand(m, k, dtype, Layout::plain, random);
      const Operand columns = operand(n, k, dtype, Layout::plain, random);
      const T* x = static_cast<const T*>(rows.view.data);
      const T* w = static_cast<const T*>(columns.view.data);
      std::vector<T> expected;
      for (int64_t i = 0; i < m; ++i) {
        for (int64_t j = 0; j < n; ++j) {
          T total = 0;
          for (int64_t outer = 0; outer < k; outer += 1024) {
            T block = 0;
            for (int64_t inner = outer; inner < std::min(k, outer + 1024); inner += 256) {
              T chain = 0;
              for (int64_t p = inner; p < std::min({k, outer + 1024, inner + 256}); ++p) {
                chain = add_product(x[i * k + p], w[j * k + p], chain);
              }
              block = inner == outer ? chain : block + chain;
            }
            total = outer == 0 ? block : total + block;
          }
          expected.push_back(total);
        }
      }
      for (const Layout la : {Layout::plain, Layout::padded_transposed, Layout::stepped}) {
        for (const Layout lb : {Layout::plain, Layout::transposed, Layout::stepped}) {
          Operand a = operand(m, k, dtype, la, random), b = operand(k, n, dtype, lb, random);
          for (int64_t p = 0; p < k; ++p) {
            for (int64_t i = 0; i < m; ++i)
              write(a.view, offset(a.view, i, p, {}, 0), x[i * k + p]);
            for (int64_t j = 0; j < n; ++j)
              write(b.view, offset(b.view, p, j, {}, 0), w[j * k + p]);
          }
          const Operand c = operand(m, n, dtype, Layout::plain, random);
          gemm(product(m, n, k, a, b, c));
          const std::string row = fmt::format("{} {} {} {} {}", m, n, k, int(la), int(lb));
          CAPTURE(row);
          CHECK(std::memcmp(c.view.data, expected.data(), expected.size() * sizeof(T)) == 0);
        }
      }
    }
  };
  run.template operator()<float>(DType::f32);
  run.template operator()<double>(DType::f64);
}

namespace {

/// Compares products of the first and last rows of a tall A, at any height and number of threads,
/// with the whole one.
void check_row_rule(DType dtype, int64_t n, int64_t k, Layout la, Layout lb, int64_t tallest,
                    std::initializer_list<int64_t> heights) {
  std::mt19937 random(static_cast<unsigned>(n * 10007 + k));
  const Operand a = operand(tallest, k, dtype, la, random), b = operand(k, n, dtype, lb, random);
  const Operand whole = operand(tallest, n, dtype, Layout::plain, random);
  gemm(product(tallest, n, k, a, b, whole));
  const auto row_bytes = static_cast<size_t>(n * itemsize(dtype));
  const int before = omp_get_max_threads();
  for (const int threads : {1, 2, 3}) {
    omp_set_num_threads(threads);
    for (const int64_t m : heights) {
      for (const int64_t first : {int64_t{0}, tallest - m}) {
        const Operand c = operand(m, n, dtype, Layout::plain, random);
        Gemm g = product(m, n, k, a, b, c);
        g.a.data =
            static_cast<std::byte*>(a.view.data) + first * a.view.row_stride * itemsize(dtype);
        gemm(g);
        const std::string row = fmt::format("{} {} {} {} {} {} {} {}", to_string(dtype), n, k, m,
                                            first, threads, int(la), int(lb));
        CAPTURE(row);
        CHECK(std::memcmp(c.bytes.data(), whole.bytes.data() + first * row_bytes, row_bytes * m) ==
              0);
      }
    }
  }
  omp_set_num_threads(before);
}

}  // namespace

TEST_CASE("gemm: a row depends on no other row, at any number of threads") {
  const int64_t shapes[][2] = {{16, 16}, {64, 31},   {258, 64},  {65, 100},  {1, 128},  {256, 256},
                               {7, 777}, {128, 512}, {48, 1000}, {512, 100}, {33, 1025}};
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16, DType::f64}) {
    for (const auto& [n, k] : shapes) {
      check_row_rule(dtype, n, k, Layout::plain, Layout::transposed, 300,
                     {1, 2, 3, 5, 8, 15, 16, 17, 33, 63, 64, 65, 100, 128, 129, 255, 299});
    }
    for (const Layout la : {Layout::transposed, Layout::padded, Layout::stepped}) {
      check_row_rule(dtype, 70, 600, la, Layout::plain, 300, {1, 2, 7, 16, 31, 64, 77, 200});
    }
  }
}

TEST_CASE("gemm: a row depends on no other row, tall products" * doctest::test_suite("slow")) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (const int64_t n : {16, 64, 258, 777, 1024}) {
      for (const int64_t k : {16, 64, 255, 512, 777, 1024, 2048, 4096}) {
        if (n * k > 1 << 20) continue;
        for (const Layout lb : {Layout::plain, Layout::transposed}) {
          check_row_rule(dtype, n, k, Layout::plain, lb, 4096,
                         {1, 2, 4, 9, 31, 64, 127, 200, 256, 300, 1000, 1024, 2049});
        }
      }
    }
    check_row_rule(dtype, 64, 64, Layout::plain, Layout::transposed, 65536, {1, 300, 5000, 40000});
  }
}

TEST_CASE("gemm: a long sum adds blocks of 1,024 in order") {
  std::mt19937 random(9);
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const int64_t m = 70, n = 40, k = 2500;
    const Operand x = operand(k, m, dtype, Layout::plain, random);
    const Operand dy = operand(k, n, dtype, Layout::plain, random);
    const Operand whole = operand(m, n, DType::f32, Layout::plain, random);
    const Operand parts = operand(m, n, DType::f32, Layout::plain, random);
    const auto run = [&](int64_t begin, int64_t length, const Operand& c, bool accumulate) {
      Gemm g = product(m, n, length, x, dy, c);
      g.a.row_stride = 1;
      g.a.column_stride = m;
      g.a.data = static_cast<std::byte*>(x.view.data) + begin * m * itemsize(dtype);
      g.b.data = static_cast<std::byte*>(dy.view.data) + begin * n * itemsize(dtype);
      g.accumulate = accumulate;
      gemm(g);
    };
    run(0, k, whole, false);
    run(0, 1024, parts, false);
    run(1024, 1024, parts, true);
    run(2048, k - 2048, parts, true);
    CHECK(std::memcmp(whole.view.data, parts.view.data, m * n * sizeof(float)) == 0);
  }
}

TEST_CASE("gemm: inside a parallel region it gives the same bits") {
  std::mt19937 random(10);
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const Operand a = operand(130, 90, dtype, Layout::plain, random);
    const Operand b = operand(90, 70, dtype, Layout::transposed, random);
    const Operand expected = operand(130, 70, dtype, Layout::plain, random);
    gemm(product(130, 70, 90, a, b, expected));
    std::vector<Operand> results;
    for (int i = 0; i < 4; ++i) results.push_back(operand(130, 70, dtype, Layout::plain, random));
#pragma omp parallel for num_threads(4)
    for (int i = 0; i < 4; ++i) gemm(product(130, 70, 90, a, b, results[i]));
    for (const Operand& c : results) {
      CHECK(std::equal(c.bytes.begin(), c.bytes.end() - itemsize(dtype), expected.bytes.begin()));
    }
  }
}
