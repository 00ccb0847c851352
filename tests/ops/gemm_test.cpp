#include <doctest/doctest.h>
#include <omp.h>
#include <tenet/core/error.h>
#include <tenet/ops/gemm/detail/gemm.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <random>

using namespace tenet;
using detail::Gemm;
using detail::MatrixView;

namespace {

/// A matrix (or batch of them) with its values, laid out as a test wants it.
struct Operand {
  std::vector<std::byte> bytes;
  MatrixView view;
};

enum class Layout {
  plain,
  transposed,
  padded,
  padded_transposed,
  stepped,
  repeated_rows,
  repeated
};
constexpr Layout layouts[] = {
    Layout::plain,   Layout::transposed,    Layout::padded,  Layout::padded_transposed,
    Layout::stepped, Layout::repeated_rows, Layout::repeated};

double read(const MatrixView& x, int64_t at) {
  double value = 0;
  dispatch(NumberTypes(), x.dtype, "read", [&]<class T>() {
    value = static_cast<double>(static_cast<Compute<T>>(static_cast<const T*>(x.data)[at]));
  });
  return value;
}

void write(const MatrixView& x, int64_t at, double value) {
  dispatch(NumberTypes(), x.dtype, "write",
           [&]<class T>() { static_cast<T*>(x.data)[at] = T(static_cast<Compute<T>>(value)); });
}

Operand operand(int64_t rows, int64_t columns, DType dtype, Layout layout, std::mt19937& random,
                Shape batch = {}) {
  Operand x;
  x.view.dtype = dtype;
  const int64_t step = layout == Layout::stepped ? 3 : 1;
  const bool padded = layout == Layout::padded || layout == Layout::padded_transposed;
  const int64_t pad = padded ? 5 : 0;
  const bool transposed = layout == Layout::transposed || layout == Layout::padded_transposed;
  x.view.row_stride = transposed ? step : step * columns + pad;
  x.view.column_stride = transposed ? step * rows + pad : step;
  const int64_t item = (rows + pad) * (columns + pad) * step;
  if (layout == Layout::repeated_rows || layout == Layout::repeated) x.view.row_stride = 0;
  if (layout == Layout::repeated) x.view.column_stride = 0;
  x.view.batch_strides = contiguous_strides(batch);
  for (int64_t& stride : x.view.batch_strides) stride *= item;
  const int64_t count = item * batch.numel() + 1;
  x.bytes.resize(static_cast<size_t>(count * itemsize(dtype)));
  x.view.data = x.bytes.data();
  for (int64_t i = 0; i < count; ++i) {
    const auto integer = static_cast<double>(random() % 19) - 9;
    write(x.view, i,
          dtype == DType::u8   ? integer + 9
          : is_floating(dtype) ? static_cast<double>(random()) * 0x1p-31 - 1
                               : integer);
  }
  return x;
}

int64_t offset(const MatrixView& x, int64_t i, int64_t j, const Shape& batch, int64_t item) {
  int64_t at = i * x.row_stride + j * x.column_stride;
  for (int axis = batch.dim() - 1; axis >= 0; --axis) {
    at += item % batch[axis] * x.batch_strides[axis];
    item /= batch[axis];
  }
  return at;
}

double tolerance(DType dtype) {
  switch (dtype) {
    case DType::f64:
      return 1e-13;
    case DType::f32:
      return 2e-6;
    case DType::f16:
      return 2e-3;
    case DType::bf16:
      return 1e-2;
    default:
      return 0;
  }
}

/// The values of one item of a batch, row by row.
std::vector<double> values(const MatrixView& x, int64_t rows, int64_t columns, const Gemm& g,
                           int64_t item) {
  std::vector<double> all;
  all.reserve(static_cast<size_t>(rows * columns));
  dispatch(NumberTypes(), x.dtype, "read", [&]<class T>() {
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < columns; ++j) {
        const T element = static_cast<const T*>(x.data)[offset(x, i, j, g.batch, item)];
        all.push_back(static_cast<double>(static_cast<Compute<T>>(element)));
      }
    }
  });
  return all;
}

/// Runs g and compares every element with a sum in double over the same operands, relative to the
/// sum of magnitudes.
void check_against_naive(const Gemm& g) {
  const int64_t items = g.batch.numel();
  std::vector<double> expected, scale;
  for (int64_t item = 0; item < items; ++item) {
    const std::vector<double> a = values(g.a, g.m, g.k, g, item),
                              b = values(g.b, g.k, g.n, g, item);
    const std::vector<double> c = values(g.c, g.m, g.n, g, item);
    for (int64_t i = 0; i < g.m; ++i) {
      for (int64_t j = 0; j < g.n; ++j) {
        double sum = g.accumulate ? c[i * g.n + j] : 0;
        double size = std::abs(sum) + 1e-30;
        for (int64_t k = 0; k < g.k; ++k) {
          const double term = a[i * g.k + k] * b[k * g.n + j];
          sum += term;
          size += std::abs(term);
        }
        if (g.bias) {
          const MatrixView bias{.data = const_cast<void*>(g.bias), .dtype = g.bias_dtype};
          sum += read(bias, j * g.bias_stride);
        }
        expected.push_back(sum);
        scale.push_back(size + std::abs(sum));
      }
    }
  }
  gemm(g);
  size_t at = 0;
  double worst = 0;
  for (int64_t item = 0; item < items; ++item) {
    for (int64_t i = 0; i < g.m; ++i) {
      for (int64_t j = 0; j < g.n; ++j, ++at) {
        const double got = read(g.c, offset(g.c, i, j, g.batch, item));
        const double wanted = g.c.dtype == DType::u8 ? std::fmod(expected[at], 256) : expected[at];
        worst = std::max(worst, std::abs(got - wanted) / scale[at]);
        if (std::isnan(got)) worst = INFINITY;
      }
    }
  }
  CHECK(worst <= tolerance(g.c.dtype));
}

Gemm product(int64_t m, int64_t n, int64_t k, const Operand& a, const Operand& b,
             const Operand& c) {
  return {.m = m, .n = n, .k = k, .a = a.view, .b = b.view, .c = c.view};
}

const DType dtypes[] = {DType::f32, DType::f64, DType::bf16, DType::f16,
                        DType::i32, DType::i64, DType::u8};

}  // namespace

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
        if (repeated & 1) g.b.batch_strides = {0, 0, 0};
        if (repeated & 2) g.a.batch_strides[1] = 0;
        if (repeated & 4) g.b.batch_strides[2] = 0;
        if (repeated & 8) g.a.batch_strides = {0, 0, 0};
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

// --- Note [Order of sums]
// --------------------------------------------------------------------------------------------

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
                chain = std::fma(x[i * k + p], w[j * k + p], chain);
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
#ifdef __FMA__
  run.template operator()<float>(DType::f32);
  run.template operator()<double>(DType::f64);
#endif
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

TEST_CASE("gemm: no product runs on a reference loop") {
  std::mt19937 random(11);
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (const Layout layout : layouts) {
      const bool repeated = layout == Layout::repeated || layout == Layout::repeated_rows;
      gemm(product(64, 64, 64, operand(64, 64, dtype, layout, random),
                   operand(64, 64, dtype, layout, random),
                   operand(64, 64, dtype, repeated ? Layout::transposed : layout, random)));
    }
  }
  for (const std::string& name : detail::onednn_implementations()) {
    CAPTURE(name);
    CHECK(name.find("ref") == std::string::npos);
  }
}
