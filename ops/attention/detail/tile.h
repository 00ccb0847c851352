/// Products of small matrices, the inner loop of attention.
///
/// Every element of a product is one chain of multiply-adds over k in rising order, starting at 0
/// or at what is already there. So its bits do not depend on the tile it is computed in, and terms
/// that are exactly 0 change nothing.
#pragma once

#include <tenet/ops/attention/detail/vector.h>
#include <tenet/ops/detail/amx.h>

namespace tenet::detail::tiles {

/// Queries are handled in panels of kPanel lanes; the products' tiles are kRows x kPanel.
template <class T>
inline constexpr int kPanel = 2 * kLanes<T>;
template <class T>
inline constexpr int kRows = kLanes<T> < 8 ? kLanes<T> : 8;

/// What the width of packed rows and the number of packed keys are multiples of: for bf16, what
/// tile registers hold.
template <class T>
inline constexpr int kWidthUnit = std::is_same_v<T, bf16> ? amx::depth : kLanes<T>;
template <class T>
inline constexpr int kKeyUnit = std::is_same_v<T, bf16> ? amx::depth : kRows<T>;

/// While it lives, the calling thread may use tile registers, if T's products do.
template <class T>
struct TileScope {
  TileScope() {}
};
#if TENET_HAVE_AVX512
template <>
struct TileScope<bf16> {
  amx::Tiles tiles;
};
#endif

enum class Start { zero, add };

/// c[r][n] = or += sum_k a[r * a_row + k * a_k] * b[k * b_row + n], r < rows, n < vectors * kLanes.
template <int rows, int vectors, Start start, class T>
[[gnu::always_inline]] inline void tile_product(int64_t count, const T* a, int64_t a_row,
                                                int64_t a_k, const T* b, int64_t b_row, T* c,
                                                int64_t c_row) {
  Vector<T> sum[rows][vectors];
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 8
    for (int n = 0; n < vectors; ++n) {
      sum[r][n] = start == Start::zero ? Vector<T>{} : load(c + r * c_row + n * kLanes<T>);
    }
  }
  for (int64_t k = 0; k < count; ++k) {
    Vector<T> right[vectors];
#pragma GCC unroll 8
    for (int n = 0; n < vectors; ++n) right[n] = load(b + k * b_row + n * kLanes<T>);
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
      const Vector<T> left = splat(a[r * a_row + k * a_k]);
#pragma GCC unroll 8
      for (int n = 0; n < vectors; ++n) sum[r][n] = fma(left, right[n], sum[r][n]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 8
    for (int n = 0; n < vectors; ++n) store(c + r * c_row + n * kLanes<T>, sum[r][n]);
  }
}

/// The same for kRows rows and any `width` that is a multiple of kLanes.
template <Start start, class T>
inline void row_product(int64_t count, const T* a, int64_t a_row, int64_t a_k, const T* b,
                        int64_t b_row, T* c, int64_t c_row, int64_t width) {
  int64_t n = 0;
  for (; n + 2 * kLanes<T> <= width; n += 2 * kLanes<T>) {
    tile_product<kRows<T>, 2, start>(count, a, a_row, a_k, b + n, b_row, c + n, c_row);
  }
  if (n < width) tile_product<kRows<T>, 1, start>(count, a, a_row, a_k, b + n, b_row, c + n, c_row);
}

}  // namespace tenet::detail::tiles
