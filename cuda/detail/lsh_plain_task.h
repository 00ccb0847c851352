/// LSH attention of f32 and f64: tiles of rows in shared memory, products by multiply-adds.
///
/// A block of 128 threads has 64 places; thread 8 g + c has the rows 4 g to 4 g + 3 and, of a run
/// of 32 others, c, c + 8, c + 16 and c + 24. Sums are in the order of lsh_general_task.h, to the
/// bit.
#pragma once

#include <tenet/cuda/detail/lsh_places_task.h>
#include <tenet/cuda/detail/lsh_tile_task.h>

namespace tenet::cuda::lsh {

inline constexpr int plain_threads = 128;
/// Numbers in a row of W in shared memory: eight rows of 16 bytes lie in 32 different banks.
template <class S, int W>
inline constexpr int kPlainStride = W + kPart<S>;

/// Copies rows row_of(r) into a tile, zeros beyond `size` and where it is null.
template <class M, int W, class S, class RowOf>
TENET_GPU void load_plain(S* tile, int rows, int size, bool aligned, const S* any, RowOf&& row_of) {
  constexpr int parts = W / kPart<S>;
  for (int n = M::thread(); n < rows * parts; n += plain_threads) {
    const int r = n / parts, c = n % parts * kPart<S>;
    const S* from = row_of(r);
    S* const to = tile + r * kPlainStride<S, W> + c;
    if (aligned) {
      const bool valid = from != nullptr && c < size;
      M::copy_async(to, valid ? from + c : any, valid);
      continue;
    }
    for (int e = 0; e < kPart<S>; ++e) to[e] = from != nullptr && c + e < size ? from[c + e] : S(0);
  }
}

/// Dots of a thread's 4 rows of `a` with its 4 rows of `b`, a tile of a run: each one chain of
/// multiply-adds over the elements in rising order.
template <class M, int W, class S>
TENET_GPU void plain_dots(const S* a, const S* b, S (&s)[4][4]) {
  const S* const left = a + M::thread() / 8 * 4 * kPlainStride<S, W>;
  const S* const right = b + M::thread() % 8 * kPlainStride<S, W>;
  TENET_UNROLL
  for (int i = 0; i < 4; ++i) s[i][0] = s[i][1] = s[i][2] = s[i][3] = 0;
  TENET_ROLL
  for (int k = 0; k < W; k += kPart<S>) {
    Part<S> rows[4], others[4];
    TENET_UNROLL
    for (int i = 0; i < 4; ++i) {
      rows[i] = part_at(left + i * kPlainStride<S, W> + k);
      others[i] = part_at(right + 8 * i * kPlainStride<S, W> + k);
    }
    TENET_UNROLL
    for (int e = 0; e < kPart<S>; ++e) {
      TENET_UNROLL
      for (int i = 0; i < 4; ++i) {
        TENET_UNROLL
        for (int j = 0; j < 4; ++j) {
          s[i][j] = multiply_add(rows[i].at[e], others[j].at[e], s[i][j]);
        }
      }
    }
  }
}

/// A thread's share of 64 x W sums: of its 4 rows the columns c N to c N + N - 1 of every 8 N, N =
/// kPart.
template <class S, int W>
using PlainSums = S[4][W / 8];
/// Calls visit(m, column) for the columns of this thread.
template <class M, class S, int W, class Visit>
TENET_GPU void visit_columns(Visit&& visit) {
  TENET_UNROLL
  for (int m = 0; m < W / 8; ++m) {
    constexpr int N = kPart<S>;
    visit(m, m / N * 8 * N + M::thread() % 8 * N + m % N);
  }
}

/// Numbers of shared memory for share_weights().
inline constexpr int plain_weights = block_places * kTile;
/// Makes a thread's weights known to the 8 that share its rows: [16 groups][32][4 rows].
template <class M, class S>
TENET_GPU void share_weights(const S (&s)[4][4], S* shared) {
  S* const group = shared + M::thread() / 8 * 4 * kTile;
  TENET_UNROLL
  for (int j = 0; j < 4; ++j) {
    TENET_UNROLL
    for (int i = 0; i < 4; ++i) group[(M::thread() % 8 + 8 * j) * 4 + i] = s[i][j];
  }
}
/// sums += weights times `tile`, one multiply-add for each of the run's rows in rising order;
/// hidden(i, r) says that row i is not to meet row r of the tile.
template <class M, int W, class S, class Hidden>
TENET_GPU void add_weighted(const S* shared, const S* tile, PlainSums<S, W>& sums,
                            Hidden&& hidden) {
  constexpr int N = kPart<S>;
  const S* const group = shared + M::thread() / 8 * 4 * kTile;
  TENET_ROLL
  for (int r = 0; r < kTile; ++r) {
    S weight[4];
    TENET_UNROLL
    for (int i = 0; i < 4; i += N) {
      const Part<S>& some = part_at(group + r * 4 + i);
      TENET_UNROLL
      for (int e = 0; e < N; ++e) weight[i + e] = some.at[e];
    }
    TENET_UNROLL
    for (int m = 0; m < W / 8; m += N) {
      const Part<S>& row = part_at(tile + r * kPlainStride<S, W> + m * 8 + M::thread() % 8 * N);
      TENET_UNROLL
      for (int i = 0; i < 4; ++i) {
        if (hidden(i, r)) continue;
        TENET_UNROLL
        for (int e = 0; e < N; ++e) {
          sums[i][m + e] = multiply_add(weight[i], row.at[e], sums[i][m + e]);
        }
      }
    }
  }
}

/// The sum, or the largest, over the 8 threads that share rows.
template <class M, class S>
TENET_GPU S eight_sum(S x) {
  for (int apart = 4; apart > 0; apart /= 2) x += M::shuffle_xor(x, apart);
  return x;
}
template <class M, class S>
TENET_GPU S eight_top(S x) {
  for (int apart = 4; apart > 0; apart /= 2) {
    const S other = M::shuffle_xor(x, apart);
    x = other > x ? other : x;
  }
  return x;
}

}  // namespace tenet::cuda::lsh
