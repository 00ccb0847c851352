/// The inner loops of the blocked product: packing panels, and a register tile of C.
#pragma once

#include <tenet/core/dtype.h>
#include <tenet/ops/detail/transpose.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace tenet::detail {

#if defined(__AVX512F__)
inline constexpr int vector_bytes = 64, tile_rows = 14;
#elif defined(__AVX__)
inline constexpr int vector_bytes = 32, tile_rows = 6;
#else
inline constexpr int vector_bytes = 16, tile_rows = 4;
#endif
template <class T>
inline constexpr int lanes = vector_bytes / static_cast<int>(sizeof(T));
/// A register tile is up to tile_rows high and two vectors wide.
template <class T>
inline constexpr int tile_columns = 2 * lanes<T>;
static_assert(tile_rows <= tile_columns<double>, "pack_squares() packs two squares of rows");

/// A matrix or vector with strides, without sizes.
template <class T>
struct Strided {
  const T* data;
  int64_t row, column;

  Strided at(int64_t i, int64_t j) const { return {data + i * row + j * column, row, column}; }
  Strided transposed() const { return {data, column, row}; }
};

template <class T>
struct VectorOf {
  typedef T Type __attribute__((vector_size(vector_bytes), aligned(alignof(T)), may_alias));
};

/// c[i * ldc + j] (+)= sum_k a[k * rows + i] * b[k * ldb + j] for i < rows and j < tile_columns:
/// one chain of fused multiply-adds per element, in the order of k.
template <class T, int rows>
void micro_tile(int64_t k, const T* a, const T* b, int64_t ldb, T* c, int64_t ldc, bool add) {
  using V = typename VectorOf<T>::Type;
  constexpr int width = lanes<T>;
  V sum[rows][2] = {};
  for (int64_t step = 0; step < k; ++step, a += rows, b += ldb) {
    const V b0 = *reinterpret_cast<const V*>(b);
    const V b1 = *reinterpret_cast<const V*>(b + width);
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i) {
      sum[i][0] += a[i] * b0;
      sum[i][1] += a[i] * b1;
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i) {
    V* to = reinterpret_cast<V*>(c + i * ldc);
    to[0] = add ? to[0] + sum[i][0] : sum[i][0];
    to[1] = add ? to[1] + sum[i][1] : sum[i][1];
  }
}

template <class T>
using MicroTile = void (*)(int64_t, const T*, const T*, int64_t, T*, int64_t, bool);

/// The register tile of least height that holds `rows` rows. Every height gives the same bits.
template <class T>
struct TileKernel {
  int rows;
  MicroTile<T> run;

  static TileKernel of(int64_t rows) {
    if (rows <= 1) return {1, &micro_tile<T, 1>};
    if (rows <= 2) return {2, &micro_tile<T, 2>};
    if (rows <= 4) return {4, &micro_tile<T, 4>};
    if (tile_rows > 8 && rows <= 8) return {8, &micro_tile<T, 8>};
    return {tile_rows, &micro_tile<T, tile_rows>};
  }
};

template <class To, class From>
To widen(From value) {
  return static_cast<To>(static_cast<Compute<From>>(value));
}

/// Transposes up to lanes<T> rows at from + i * stride, lanes<T> long each: lane i of out[j] is row
/// i's element j, and 0 for the rows that are missing.
template <class T>
[[gnu::always_inline]] inline void transpose_square(const T* from, int64_t stride, int64_t rows,
                                                    typename VectorOf<T>::Type* out) {
#if defined(__AVX512F__)
  if constexpr (std::is_same_v<T, float>) {
    using V = typename VectorOf<T>::Type;
    alignas(64) static constexpr float zeros[lanes<float>] = {};
    visit_columns([&](int64_t i) { return i < rows ? from + i * stride : zeros; },
                  [&](int64_t k, __m512 column) { out[k] = (V)column; });
    return;
  }
#endif
  using Lane = std::conditional_t<sizeof(T) == 8, int64_t, int32_t>;
  typedef Lane Index __attribute__((vector_size(vector_bytes)));
  typedef T Row __attribute__((vector_size(vector_bytes)));  // aligned, as registers are
  Row square[lanes<T>] = {};
#pragma GCC unroll 16
  for (int i = 0; i < lanes<T>; ++i) {
    if (i < rows) std::memcpy(&square[i], from + i * stride, vector_bytes);
  }
  transpose_registers<lanes<T>, Index>(square);
  std::memcpy(out, square, sizeof(square));
}

/// What pack_panel() may write beyond its k * height elements.
template <class T>
inline constexpr int64_t pack_slack = 2 * lanes<T>;

/// pack_panel() for columns next to each other, in whole squares; returns how many columns it
/// packed.
template <class T>
int64_t pack_squares(Strided<T> from, int64_t rows, int64_t k, int height, T* to) {
  constexpr int n = lanes<T>;
  typename VectorOf<T>::Type upper[n], lower[n];
  int64_t j = 0;
  for (; j + n <= k; j += n) {
    transpose_square(from.data + j, from.row, rows, upper);
    if (height > n) transpose_square(from.data + n * from.row + j, from.row, rows - n, lower);
    for (int step = 0; step < n; ++step) {  // in order: each write ends in what the next overwrites
      std::memcpy(to + (j + step) * height, &upper[step], vector_bytes);
      if (height > n) std::memcpy(to + (j + step) * height + n, &lower[step], vector_bytes);
    }
  }
  return j;
}

/// to[j * height + i] = from(i, j) for i < rows and j < k, and 0 for rows <= i < height <=
/// tile_columns. `to` has room for k * height + pack_slack elements.
template <class T, class From>
void pack_panel(Strided<From> from, int64_t rows, int64_t k, int height, T* to) {
  int64_t done = 0;
  if constexpr (std::is_same_v<T, From>) {
    if (from.row == 1 && rows == tile_columns<T> && height == rows) {
      for (; done < k; ++done) {
        std::memcpy(to + done * height, from.data + done * from.column, 2 * vector_bytes);
      }
    } else if (from.row == 1 && rows == tile_rows && height == rows) {
      for (; done < k; ++done) {
        std::memcpy(to + done * height, from.data + done * from.column, sizeof(T) * tile_rows);
      }
    } else if (from.column == 1 && from.row != 1) {
      done = pack_squares(from, rows, k, height, to);
    }
  }
  for (int64_t j = done; j < k; ++j) {
    for (int64_t i = 0; i < rows; ++i) {
      to[j * height + i] = widen<T>(from.data[i * from.row + j * from.column]);
    }
    for (int64_t i = rows; i < height; ++i) to[j * height + i] = T(0);
  }
}

}  // namespace tenet::detail
