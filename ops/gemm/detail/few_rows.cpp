#include <tenet/ops/gemm/detail/few_rows.h>

namespace tenet::detail {
namespace {

template <class T>
using V = typename VectorOf<T>::Type;

/// sum[i] += a[i][begin] * square[0] + a[i][begin + column] * square[1] + ..., in this order.
template <int rows, class T>
[[gnu::always_inline]] inline void add_steps(const T* const* a, int64_t begin, int64_t column,
                                             const V<T>* square, int64_t steps, V<T>* sum) {
#pragma GCC unroll 16
  for (int64_t step = 0; step < steps; ++step) {
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i) sum[i] += a[i][begin + step * column] * square[step];
  }
}

/// Up to a vector of columns of `height` <= rows rows of C: squares of B are transposed in
/// registers. An element is one chain of fused multiply-adds in the order of k.
template <int rows, class T>
void column_strip(int64_t height, int64_t columns, int64_t k, Strided<T> a, Strided<T> b, T* c,
                  int64_t ldc, bool add) {
  constexpr int width = lanes<T>;
  V<T> sum[rows] = {}, square[width];
  const T* left[rows];
  for (int64_t i = 0; i < rows; ++i) left[i] = a.at(std::min(i, height - 1), 0).data;
  const auto multiply = [&](int64_t begin, const V<T>* from, int64_t steps) {
    add_steps<rows>(left, begin * a.column, a.column, from, steps, sum);
  };
  int64_t done = 0;
  for (; done + width <= k; done += width) {
    transpose_square(b.data + done, b.column, columns, square);
    multiply(done, square, width);
  }
  if (const int64_t rest = k - done; rest > 0) {
    T padded[width * width] = {};
    for (int64_t j = 0; j < columns; ++j) {
      std::copy_n(b.at(done, j).data, rest, padded + j * width);
    }
    transpose_square(padded, width, width, square);
    for (int64_t step = 0; step < rest; ++step) multiply(done + step, square + step, 1);
  }
  for (int64_t i = 0; i < height; ++i) {
    T* const to = c + i * ldc;
    if (columns >= width) {
      V<T>& whole = *reinterpret_cast<V<T>*>(to);
      whole = add ? whole + sum[i] : sum[i];
    } else {
      for (int64_t j = 0; j < columns; ++j) to[j] = add ? to[j] + sum[i][j] : sum[i][j];
    }
  }
}

}  // namespace

template <class T>
void few_rows_product(int64_t m, int64_t n, int64_t k, Strided<T> a, Strided<T> b, T* c,
                      int64_t ldc, bool add) {
  for (int64_t j = 0; j < n; j += lanes<T>) {
    for (int64_t i = 0; i < m; i += few_rows_height) {
      const int64_t height = std::min<int64_t>(few_rows_height, m - i);
      const auto strip = height <= 1   ? &column_strip<1, T>
                         : height <= 2 ? &column_strip<2, T>
                         : height <= 4 ? &column_strip<4, T>
                                       : &column_strip<few_rows_height, T>;
      strip(height, std::min<int64_t>(lanes<T>, n - j), k, a.at(i, 0), b.at(0, j), c + i * ldc + j,
            ldc, add);
    }
  }
}

template void few_rows_product(int64_t, int64_t, int64_t, Strided<float>, Strided<float>, float*,
                               int64_t, bool);
template void few_rows_product(int64_t, int64_t, int64_t, Strided<double>, Strided<double>, double*,
                               int64_t, bool);

}  // namespace tenet::detail
