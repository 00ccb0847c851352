/// Band attention of 16-bit types by tensor cores: products of tiles, and what a thread does with
/// its rows.
#pragma once

#include <tenet/cuda/detail/attention_block_task.h>

namespace tenet::cuda::attention {

inline constexpr float kLog2E = 1.4426950408889634f, kLn2 = 0.6931471805599453f;

/// Warps of a block of queries, 16 for each: no more than a chunk needs.
TENET_HD constexpr int tile_warps(int64_t chunk) {
  return chunk == 0 || chunk > 48 ? 4 : static_cast<int>((chunk + 15) / 16);
}

/// A of 16 rows of a tile: W / 16 products deep.
template <int W>
using Rows16 = uint32_t[W / 16][4];
template <class M, class T, int W>
TENET_GPU void load_rows(const T* tile, Rows16<W>& to) {
  const mma::Place place = mma::straight_row(M::thread() % 32);
  TENET_UNROLL
  for (int k = 0; k < W; k += 16) {
    M::load_matrices(to[k / 16], tile + place.row * kStride<T, W> + place.column + k);
  }
}

/// c += A B^T, 16 numbers of each row's inner product; b points at the first of N / 8 rows of 8.
template <class M, class T, int W, int N>
TENET_GPU void multiply_part(const uint32_t (&a)[4], const T* b, float (&c)[N][4]) {
  const mma::Place place = mma::turned_row(M::thread() % 32);
  TENET_UNROLL
  for (int n = 0; n < N; n += 2) {
    uint32_t of_b[4];
    M::load_matrices(of_b, b + (n * 8 + place.row) * kStride<T, W> + place.column);
    M::template multiply_add<T>(c[n], a, of_b[0], of_b[1]);
    M::template multiply_add<T>(c[n + 1], a, of_b[2], of_b[3]);
  }
}
/// c += A B^T for N * 8 rows of the tile b.
template <class M, class T, int W, int N>
TENET_GPU void multiply_rows(const Rows16<W>& a, const T* b, float (&c)[N][4]) {
  TENET_UNROLL
  for (int k = 0; k < W; k += 16) multiply_part<M, T, W>(a[k / 16], b + k, c);
}
/// The same, A being 16 rows of another tile.
template <class M, class T, int W, int N>
TENET_GPU void multiply_tiles(const T* a, const T* b, float (&c)[N][4]) {
  const mma::Place place = mma::straight_row(M::thread() % 32);
  TENET_UNROLL
  for (int k = 0; k < W; k += 16) {
    uint32_t of_a[4];
    M::load_matrices(of_a, a + place.row * kStride<T, W> + place.column + k);
    multiply_part<M, T, W>(of_a, b + k, c);
  }
}

/// c += P B: P the 16 x 8 N numbers of p, rounded to T; B as many rows of a tile.
template <class M, class T, int W, int N>
TENET_GPU void multiply_sums(const float (&p)[N][4], const T* b, float (&c)[W / 8][4]) {
  const mma::Place place = mma::straight_row(M::thread() % 32);
  TENET_UNROLL
  for (int k = 0; k < N; k += 2) {
    const uint32_t of_a[4] = {M::template pack<T>(p[k][0], p[k][1]),
                              M::template pack<T>(p[k][2], p[k][3]),
                              M::template pack<T>(p[k + 1][0], p[k + 1][1]),
                              M::template pack<T>(p[k + 1][2], p[k + 1][3])};
    TENET_UNROLL
    for (int n = 0; n < W; n += 16) {
      uint32_t of_b[4];
      M::load_matrices_transposed(of_b, b + (k * 8 + place.row) * kStride<T, W> + place.column + n);
      M::template multiply_add<T>(c[n / 8], of_a, of_b[0], of_b[1]);
      M::template multiply_add<T>(c[n / 8 + 1], of_a, of_b[2], of_b[3]);
    }
  }
}

/// Whether dropout keeps the weights of query i and two keys, at positions a and b: bits 0 and 1.
template <class T>
TENET_GPU uint32_t kept_pair(const Task<T>& t, int64_t head, int64_t i, int64_t a, int64_t b) {
  const auto row = static_cast<uint64_t>((head * t.Lq + i) * t.Lk);
  const uint64_t first = row + static_cast<uint64_t>(a), second = row + static_cast<uint64_t>(b);
  PhiloxBlock block = philox_block(t.random, first / 4);
  const uint32_t kept = t.kept_word(block, first) ? 1 : 0;
  if (first / 4 != second / 4) block = philox_block(t.random, second / 4);
  return kept | (t.kept_word(block, second) ? 2 : 0);
}

/// Writes two neighbouring numbers of a row that lie at `column`.
template <class M, class T>
TENET_GPU void store_pair(const Task<T>& t, T* row, int column, float first, float second) {
  if (t.aligned) {
    if (column < t.size) {
      *reinterpret_cast<uint32_t*>(row + column) = M::template pack<T>(first, second);
    }
    return;
  }
  if (column < t.size) row[column] = T(first);
  if (column + 1 < t.size) row[column + 1] = T(second);
}

}  // namespace tenet::cuda::attention
