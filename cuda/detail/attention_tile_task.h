/// Band attention of 16-bit types by tensor cores: tiles in shared memory, and what a thread knows of
/// its rows. Dao, "FlashAttention-2" (2023), arXiv 2307.08691.
#pragma once

#include <tenet/cuda/detail/attention_task.h>

namespace tenet::cuda::attention {

/// Keys, or in backward queries, that a block takes at a time.
inline constexpr int kTile = 64;

inline constexpr float kLog2E = 1.4426950408889634f, kLn2 = 0.6931471805599453f;

/// Where queries are cut into blocks of `rows`: at the chunks, so that all queries of a block begin
/// to see at one key, and from it on the tiles of a query are the same whatever comes before.
struct QueryBlocks {
  int64_t Lq = 0, offset = 0, chunk = 0, rows = 1;

  TENET_HD int64_t pieces() const { return (chunk + rows - 1) / rows; }
  TENET_HD int64_t count() const {
    if (chunk == 0) return (Lq + rows - 1) / rows;
    return Lq == 0 ? 0 : ((offset + Lq - 1) / chunk - offset / chunk + 1) * pieces();
  }
  /// May be empty.
  TENET_HD QueryRange range(int64_t n) const {
    if (chunk == 0) return {n * rows, Sight::least((n + 1) * rows, Lq)};
    const int64_t start = (offset / chunk + n / pieces()) * chunk - offset;
    const int64_t first = start + n % pieces() * rows;
    const int64_t last = Sight::least(Sight::least(first + rows, start + chunk), Lq);
    return {Sight::most(first, 0), last};
  }
};

/// Warps of a block of queries, 16 for each: no more than a chunk needs.
TENET_HD constexpr int tile_warps(int64_t chunk) {
  return chunk == 0 || chunk > 48 ? 4 : static_cast<int>((chunk + 15) / 16);
}

/// The rows of one head.
template <class T>
struct Rows {
  T* data = nullptr;
  int64_t row = 0;

  TENET_GPU T* at(int64_t i) const { return data + i * row; }
};
template <class T, class U>
TENET_GPU Rows<U> rows_of(const Task<T>& t, const HeadRows<U>& all, int64_t head) {
  return {all.at(head / t.H, head % t.H, 0), all.row};
}

/// Rows of a tile of 16-bit numbers in shared memory are W elements, then padding.
template <int W>
inline constexpr int kStride = W + 8;

/// Copies `rows` rows into a tile, zeros beyond t.size and where row_of(r) is null. Rows that can be
/// copied 16 bytes at a time arrive with the thread's group of copies.
template <class M, int W, class T, class RowOf>
TENET_GPU void load_tile(const Task<T>& t, T* tile, int rows, RowOf&& row_of) {
  constexpr int parts = W / 8;
  for (int n = M::thread(); n < rows * parts; n += M::threads()) {
    const int r = n / parts, c = n % parts * 8;
    const T* from = row_of(r);
    T* const to = tile + r * kStride<W> + c;
    if (t.aligned) {
      const bool valid = from != nullptr && c < t.size;
      M::copy_async(to, valid ? from + c : t.q.data, valid);
    } else {
      for (int e = 0; e < 8; ++e) {
        to[e] = from != nullptr && c + e < t.size ? from[c + e] : T(0);
      }
    }
  }
}

/// What the scores of the keys of a tile are multiplied by, log2(e) included; 0 beyond `stop`.
template <class M, class T>
TENET_GPU void load_factors(const Task<T>& t, const Sight& sight, int64_t head, int start, int stop,
                            float* factors) {
  for (int r = M::thread(); r < kTile; r += M::threads()) {
    const int j = start + r;
    factors[r] = j < stop ? t.factor(head, sight.position(j)) * kLog2E : 0.0f;
  }
}

/// Whether a 16-bit number is neither infinite nor NaN.
TENET_HD inline bool is_finite(bf16 x) { return (x.bits & 0x7f80u) != 0x7f80u; }
TENET_HD inline bool is_finite(f16 x) { return (x.bits & 0x7c00u) != 0x7c00u; }

/// A of 16 rows of a tile: W / 16 products deep.
template <int W>
using Rows16 = uint32_t[W / 16][4];
template <class M, class T, int W>
TENET_GPU void load_rows(const T* tile, Rows16<W>& to) {
  const mma::Place place = mma::straight_row(M::thread() % 32);
  TENET_UNROLL
  for (int k = 0; k < W; k += 16) {
    M::load_matrices(to[k / 16], tile + place.row * kStride<W> + place.column + k);
  }
}

/// c += A B^T, 16 numbers of each row's inner product; b points at the first of N / 8 rows of 8.
template <class M, class T, int W, int N>
TENET_GPU void multiply_part(const uint32_t (&a)[4], const T* b, float (&c)[N][4]) {
  const mma::Place place = mma::turned_row(M::thread() % 32);
  TENET_UNROLL
  for (int n = 0; n < N; n += 2) {
    uint32_t of_b[4];
    M::load_matrices(of_b, b + (n * 8 + place.row) * kStride<W> + place.column);
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
    M::load_matrices(of_a, a + place.row * kStride<W> + place.column + k);
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
      M::load_matrices_transposed(of_b, b + (k * 8 + place.row) * kStride<W> + place.column + n);
      M::template multiply_add<T>(c[n / 8], of_a, of_b[0], of_b[1]);
      M::template multiply_add<T>(c[n / 8 + 1], of_a, of_b[2], of_b[3]);
    }
  }
}

template <int N>
TENET_GPU void clear(float (&c)[N][4]) {
  TENET_UNROLL
  for (int n = 0; n < N; ++n) c[n][0] = c[n][1] = c[n][2] = c[n][3] = 0;
}

/// Numbers of a tile that are not finite become 0: those that this thread copied, which then `note`
/// is told the rows of.
template <class M, int W, class T, class Note>
TENET_GPU void hide_faulty(T* tile, Note&& note) {
  constexpr int parts = W / 8;
  for (int n = M::thread(); n < kTile * parts; n += M::threads()) {
    T* const x = tile + n / parts * kStride<W> + n % parts * 8;
    for (int e = 0; e < 8; ++e) {
      if (is_finite(x[e])) continue;
      x[e] = T(0);
      note(n / parts);
    }
  }
}

/// The sum, or the largest, over the four lanes that share a row.
template <class M>
TENET_GPU float row_sum(float x) {
  x += M::shuffle_xor(x, 1);
  return x + M::shuffle_xor(x, 2);
}
template <class M>
TENET_GPU float row_top(float x) {
  x = fmaxf(x, M::shuffle_xor(x, 1));
  return fmaxf(x, M::shuffle_xor(x, 2));
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
