#include <tenet/ops/gemm/detail/few_rows.h>

namespace tenet::detail {
namespace {

template <class T>
using V = typename VectorOf<T>::Type;

/// sum[i] += a(i, 0) * square[0] + a(i, 1) * square[1] + ..., in this order.
template <int rows, class T>
[[gnu::always_inline]] inline void add_steps(Strided<T> a, const V<T>* square, int64_t steps,
                                             V<T>* sum) {
#pragma GCC unroll 16
  for (int64_t step = 0; step < steps; ++step) {
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i) sum[i] += *a.at(i, step).data * square[step];
  }
}

/// Up to a vector of columns of C: squares of B are transposed in registers. An element is one
/// chain of fused multiply-adds in the order of k.
template <int rows, class T>
void column_strip(int64_t columns, int64_t k, Strided<T> a, Strided<T> b, T* c, int64_t ldc,
                  bool add) {
  constexpr int width = lanes<T>;
  V<T> sum[rows] = {}, square[width];
  int64_t done = 0;
  for (; done + width <= k; done += width) {
    transpose_square(b.data + done, b.column, columns, square);
    add_steps<rows>(a.at(0, done), square, width, sum);
  }
  if (const int64_t rest = k - done; rest > 0) {
    T padded[width * width] = {};
    for (int64_t j = 0; j < columns; ++j) {
      std::copy_n(b.at(done, j).data, rest, padded + j * width);
    }
    transpose_square(padded, width, width, square);
    for (int64_t step = 0; step < rest; ++step) {
      add_steps<rows>(a.at(0, done + step), square + step, 1, sum);
    }
  }
  for (int i = 0; i < rows; ++i) {
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
  const auto rows = [&]<int height>(int64_t i) {
    for (int64_t j = 0; j < n; j += lanes<T>) {
      column_strip<height>(std::min<int64_t>(lanes<T>, n - j), k, a.at(i, 0), b.at(0, j),
                           c + i * ldc + j, ldc, add);
    }
    return height;
  };
  for (int64_t i = 0; i < m;) {
    const int64_t left = m - i;
    i += left >= 8   ? rows.template operator()<8>(i)
         : left >= 4 ? rows.template operator()<4>(i)
         : left >= 2 ? rows.template operator()<2>(i)
                     : rows.template operator()<1>(i);
  }
}

template void few_rows_product(int64_t, int64_t, int64_t, Strided<float>, Strided<float>, float*,
                               int64_t, bool);
template void few_rows_product(int64_t, int64_t, int64_t, Strided<double>, Strided<double>, double*,
                               int64_t, bool);

}  // namespace tenet::detail
