/// The buckets of a tile of positions in one round.
#pragma once

#include <tenet/cuda/detail/lsh_task.h>

namespace tenet::cuda::lsh {

/// The most factors: each is at least 2, their product at most 2^31.
inline constexpr int hash_factors = 31;

/// A kernel parameter. rotation is [H, size, R * half], half the sum of `columns`; bucket
/// [B, H, R, L].
template <class T>
struct HashTask {
  int64_t H = 0, L = 0, R = 0, half = 0;
  int size = 0, factors = 0;
  int32_t columns[hash_factors] = {};  // half of each factor
  HeadRows<const T> q;
  const Compute<T>* rotation = nullptr;
  int32_t* bucket = nullptr;

  TENET_HD int64_t tiles() const;  // of positions
};

/// A block of 128 threads hashes 64 positions, 32 columns and hash_depth elements of a row at a
/// time;
/// a thread has 4 positions and 4 columns.
inline constexpr int hash_threads = 128, hash_positions = 64, hash_columns = 32;
template <class S>
inline constexpr int hash_depth = sizeof(S) == 8 ? 32 : 64;

template <class T>
TENET_HD int64_t HashTask<T>::tiles() const {
  return (L + hash_positions - 1) / hash_positions;
}

template <class S>
struct HashShared {
  alignas(16) S q[hash_depth<S>][hash_positions + kPart<S>];
  alignas(16) S rotation[hash_depth<S>][hash_columns];
};

/// The largest and the smallest z so far with their first columns. NaN counts as neither.
template <class S>
struct BestColumn {
  S high = nothing<S>, low = -nothing<S>;
  int32_t high_at = 0, low_at = 0;

  TENET_HD void take(S z, int32_t column) {
    if (z > high) high = z, high_at = column;
    if (z < low) low = z, low_at = column;
  }
  TENET_HD void join(const BestColumn& other) {
    const bool higher = other.high > high || (other.high == high && other.high_at < high_at);
    if (higher) high = other.high, high_at = other.high_at;
    const bool lower = other.low < low || (other.low == low && other.low_at < low_at);
    if (lower) low = other.low, low_at = other.low_at;
  }
  /// argmax(concat(z, -z)) over `columns` columns.
  TENET_HD int32_t index(int32_t columns) const {
    return high >= -low ? high_at : low_at + columns;
  }
};

/// z of this thread's 4 positions and 4 columns of the hash_columns from `column` on, of which
/// `count` are to be had: one chain of multiply-adds over the elements in rising order, as on the
/// CPU. With same_q the shared memory holds the rows already.
template <class M, class T>
TENET_GPU void rotate(const HashTask<T>& t, HashShared<Compute<T>>& shared, int64_t head,
                      int64_t first, int64_t column, int count, bool same_q,
                      Compute<T> (&z)[4][4]) {
  using S = Compute<T>;
  constexpr int depth = hash_depth<S>;
  const int thread = M::thread(), group = thread / 8, part = thread % 8;
  const S* rotation = t.rotation + head % t.H * t.size * t.R * t.half + column;
  for (int start = 0; start < t.size; start += depth) {
    M::barrier();
    for (int e = thread; !same_q && e < hash_positions * depth; e += hash_threads) {
      const int i = e / depth, n = start + e % depth;
      const bool there = first + i < t.L && n < t.size;
      shared.q[e % depth][i] = there ? S(t.q.at(head / t.H, head % t.H, first + i)[n]) : S(0);
    }
    for (int e = thread; e < depth * hash_columns; e += hash_threads) {
      const int n = start + e / hash_columns, c = e % hash_columns;
      shared.rotation[e / hash_columns][c] =
          n < t.size && c < count ? rotation[n * t.R * t.half + c] : S(0);
    }
    M::barrier();
    for (int n = 0; n < depth; ++n) {
      S q[4], w[4];
      TENET_UNROLL
      for (int i = 0; i < 4; i += kPart<S>) {
        const Part<S>& some_q = part_at(&shared.q[n][group * 4 + i]);
        const Part<S>& some_w = part_at(&shared.rotation[n][part * 4 + i]);
        TENET_UNROLL
        for (int e = 0; e < kPart<S>; ++e) q[i + e] = some_q.at[e], w[i + e] = some_w.at[e];
      }
      TENET_UNROLL
      for (int i = 0; i < 4; ++i) {
        TENET_UNROLL
        for (int j = 0; j < 4; ++j) z[i][j] = multiply_add(w[j], q[i], z[i][j]);
      }
    }
  }
}

/// argmax over factor f of this thread's positions, the same in the 8 threads that share them.
template <class M, class T>
TENET_GPU void factor_indices(const HashTask<T>& t, HashShared<Compute<T>>& shared, int64_t head,
                              int64_t first, int64_t column, int32_t columns, bool same_q,
                              int32_t (&index)[4]) {
  using S = Compute<T>;
  BestColumn<S> best[4];
  for (int32_t start = 0; start < columns; start += hash_columns) {
    S z[4][4] = {};
    const int count = columns - start < hash_columns ? columns - start : hash_columns;
    rotate<M>(t, shared, head, first, column + start, count, same_q, z);
    same_q = t.size <= hash_depth<Compute<T>>;
    for (int i = 0; i < 4; ++i) {
      for (int j = 0; j < 4; ++j) {
        const int c = M::thread() % 8 * 4 + j;
        if (c < count) best[i].take(z[i][j], start + c);
      }
    }
  }
  for (int i = 0; i < 4; ++i) {
    for (int apart = 1; apart < 8; apart *= 2) {
      const BestColumn<S> other = {
          M::shuffle_xor(best[i].high, apart), M::shuffle_xor(best[i].low, apart),
          M::shuffle_xor(best[i].high_at, apart), M::shuffle_xor(best[i].low_at, apart)};
      best[i].join(other);
    }
    index[i] = best[i].index(columns);
  }
}

/// Block (head * R + r) * tiles + tile.
template <class M, class T>
TENET_GPU void hash_tile(const HashTask<T>& t, HashShared<Compute<T>>& shared) {
  const int64_t first = M::block() % t.tiles() * hash_positions, round = M::block() / t.tiles();
  const int64_t head = round / t.R;
  int64_t bucket[4] = {}, unit = 1, column = round % t.R * t.half;
  for (int f = 0; f < t.factors; ++f) {
    int32_t index[4];
    const bool same_q = f > 0 && t.size <= hash_depth<Compute<T>>;
    factor_indices<M>(t, shared, head, first, column, t.columns[f], same_q, index);
    for (int i = 0; i < 4; ++i) bucket[i] += unit * index[i];
    unit *= 2 * int64_t{t.columns[f]};
    column += t.columns[f];
  }
  const int64_t position = first + M::thread() / 8 * 4 + M::thread() % 8;
  if (M::thread() % 8 >= 4 || position >= t.L) return;
  int64_t own = 0;
  for (int i = 0; i < 4; ++i) own = M::thread() % 8 == i ? bucket[i] : own;
  t.bucket[round * t.L + position] = static_cast<int32_t>(own);
}

}  // namespace tenet::cuda::lsh
