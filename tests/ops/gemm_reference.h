/// Operands of every layout and the naive sum that gemm is compared with.
#pragma once

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

namespace gemm_test {

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
inline constexpr Layout layouts[] = {
    Layout::plain,   Layout::transposed,    Layout::padded,  Layout::padded_transposed,
    Layout::stepped, Layout::repeated_rows, Layout::repeated};

inline double read(const MatrixView& x, int64_t at) {
  double value = 0;
  dispatch(NumberTypes(), x.dtype, "read", [&]<class T>() {
    value = static_cast<double>(static_cast<Compute<T>>(static_cast<const T*>(x.data)[at]));
  });
  return value;
}

inline void write(const MatrixView& x, int64_t at, double value) {
  dispatch(NumberTypes(), x.dtype, "write",
           [&]<class T>() { static_cast<T*>(x.data)[at] = T(static_cast<Compute<T>>(value)); });
}

inline Operand operand(int64_t rows, int64_t columns, DType dtype, Layout layout,
                       std::mt19937& random, Shape batch = {}) {
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

inline int64_t offset(const MatrixView& x, int64_t i, int64_t j, const Shape& batch, int64_t item) {
  int64_t at = i * x.row_stride + j * x.column_stride;
  for (int axis = batch.dim() - 1; axis >= 0; --axis) {
    at += item % batch[axis] * x.batch_strides[axis];
    item /= batch[axis];
  }
  return at;
}

inline double tolerance(DType dtype) {
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
inline std::vector<double> values(const MatrixView& x, int64_t rows, int64_t columns, const Gemm& g,
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
inline void check_against_naive(const Gemm& g) {
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

inline Gemm product(int64_t m, int64_t n, int64_t k, const Operand& a, const Operand& b,
                    const Operand& c) {
  return {.m = m, .n = n, .k = k, .a = a.view, .b = b.view, .c = c.view};
}

/// One of 16 ways to let operands of a batch of three axes stand for several of its items.
inline void repeat_operands(Gemm& g, int way) {
  if (way & 1) g.b.batch_strides = {0, 0, 0};
  if (way & 2) g.a.batch_strides[1] = 0;
  if (way & 4) g.b.batch_strides[2] = 0;
  if (way & 8) g.a.batch_strides = {0, 0, 0};
}

inline const DType dtypes[] = {DType::f32, DType::f64, DType::bf16, DType::f16,
                               DType::i32, DType::i64, DType::u8};

}  // namespace gemm_test
