/// Band attention of f32 and f64: tiles of 64 rows as products in registers, 256 threads in a
/// square.
#pragma once

#include <tenet/cuda/detail/attention_block_task.h>

namespace tenet::cuda::attention {

/// Threads of a block, and of a side of the square. A thread's rows are 4 of the tile, its columns
/// every 16th of a product over keys.
inline constexpr int kFmaThreads = 256, kSide = 16, kOwn = kTile / kSide;
/// Rows of weights in shared memory.
template <class S>
inline constexpr int kWeightStride = kTile + kPart<S>;

/// U numbers that are read or written at once.
template <class S, int U>
struct alignas(U * sizeof(S)) Vector {
  S at[U];
};
template <int U, class S>
TENET_GPU Vector<S, U> load_vector(const S* from) {
  return *reinterpret_cast<const Vector<S, U>*>(from);
}

/// How the W columns of a row lie among the threads of a side: kGroups groups of kUnit neighbours.
template <class S, int W>
struct Columns {
  static constexpr int kUnit = W / kSide < kPart<S> ? W / kSide : kPart<S>;
  static constexpr int kGroups = W / (kSide * kUnit);
  static constexpr int kCount = kUnit * kGroups;
  /// The first column of a group of thread x.
  TENET_HD static constexpr int first(int x, int group) { return (group * kSide + x) * kUnit; }
};

/// A thread's part of kTile rows of W.
template <class S, int W>
using Sums = S[kOwn][Columns<S, W>::kCount];
/// A thread's part of the weights of kTile rows and columns: row a, column x + 16 b.
template <class S>
using Weights = S[kOwn][kOwn];

/// c += A B^T: `rows` the thread's first row of A, `columns` its first of B, both in tiles.
template <class S, int W>
TENET_GPU void fma_rows(const S* rows, const S* columns, Weights<S>& c) {
  constexpr int part = kPart<S>;
  TENET_UNROLL_BY(2)
  for (int k = 0; k < W; k += part) {
    Vector<S, part> left[kOwn], right[kOwn];
    TENET_UNROLL
    for (int n = 0; n < kOwn; ++n) {
      left[n] = load_vector<part>(rows + n * kStride<S, W> + k);
      right[n] = load_vector<part>(columns + n * kSide * kStride<S, W> + k);
    }
    TENET_UNROLL
    for (int e = 0; e < part; ++e) {
      TENET_UNROLL
      for (int a = 0; a < kOwn; ++a) {
        TENET_UNROLL
        for (int b = 0; b < kOwn; ++b) c[a][b] += left[a].at[e] * right[b].at[e];
      }
    }
  }
}

/// c += P B: `weights` the thread's first row of P in shared memory, b a tile of kTile rows.
template <class S, int W>
TENET_GPU void fma_sums(const S* weights, const S* b, int x, Sums<S, W>& c) {
  using Of = Columns<S, W>;
  constexpr int part = kPart<S>;
  TENET_UNROLL_BY(2)
  for (int k = 0; k < kTile; k += part) {
    Vector<S, part> left[kOwn];
    TENET_UNROLL
    for (int a = 0; a < kOwn; ++a) left[a] = load_vector<part>(weights + a * kWeightStride<S> + k);
    TENET_UNROLL
    for (int e = 0; e < part; ++e) {
      TENET_UNROLL
      for (int g = 0; g < Of::kGroups; ++g) {
        const auto right = load_vector<Of::kUnit>(b + (k + e) * kStride<S, W> + Of::first(x, g));
        TENET_UNROLL
        for (int a = 0; a < kOwn; ++a) {
          TENET_UNROLL
          for (int u = 0; u < Of::kUnit; ++u) {
            c[a][g * Of::kUnit + u] += left[a].at[e] * right.at[u];
          }
        }
      }
    }
  }
}

/// Writes a thread's weights where fma_sums() reads them.
template <class S>
TENET_GPU void put_weights(const Weights<S>& from, S* weights, int x) {
  TENET_UNROLL
  for (int a = 0; a < kOwn; ++a) {
    TENET_UNROLL
    for (int b = 0; b < kOwn; ++b) weights[a * kWeightStride<S> + x + kSide * b] = from[a][b];
  }
}

/// The sum, or the largest, over the 16 threads that share a row.
template <class M, class S>
TENET_GPU S side_sum(S value) {
  for (int half = kSide / 2; half > 0; half /= 2) value += M::shuffle_xor(value, half);
  return value;
}
template <class M, class S>
TENET_GPU S side_top(S value) {
  for (int half = kSide / 2; half > 0; half /= 2) {
    const S other = M::shuffle_xor(value, half);
    value = other > value ? other : value;
  }
  return value;
}

/// Writes group g of a row of numbers.
template <class S, int W>
TENET_GPU void store_group(const Task<S>& t, S* row, int x, int g,
                           const Vector<S, Columns<S, W>::kUnit>& values) {
  using Of = Columns<S, W>;
  const int column = Of::first(x, g);
  if (t.aligned) {
    if (column < t.size) {
      *reinterpret_cast<Vector<S, Of::kUnit>*>(row + column) = values;
    }
    return;
  }
  TENET_UNROLL
  for (int u = 0; u < Of::kUnit; ++u) {
    if (column + u < t.size) row[column + u] = values.at[u];
  }
}

/// A block of kTile queries that walks over the keys that it sees.
template <class M, class S, int W>
class FmaQueryBlock : protected QueryBlock<M, S> {
  using Block = QueryBlock<M, S>;

 public:
  static constexpr int kElements = kTile * kStride<S, W>;
  /// Of a tile that weights lie in when it has been used.
  static constexpr int kReused =
      kElements < kTile * kWeightStride<S> ? kTile * kWeightStride<S> : kElements;

 protected:
  TENET_GPU explicit FmaQueryBlock(const Task<S>& t)
      : Block(t, kTile), x_(M::thread() % kSide), y_(M::thread() / kSide * kOwn) {
    for (int a = 0; a < kOwn; ++a) {
      const int i = query(a);
      end_[a] = i < Block::last_ ? static_cast<int>(Block::sight_.end(i)) : 0;
      self_[a] = i < Block::last_ ? static_cast<int>(Block::sight_.self(i)) : -1;
    }
  }

  TENET_GPU int query(int a) const { return Block::first_ + y_ + a; }
  TENET_GPU bool sees(int a, int key) const { return key < end_[a] && key != self_[a]; }

  /// s times the factors of its keys; -inf for those that a row does not see.
  TENET_GPU void finish_scores(Weights<S>& s, int start, const S* factors) const {
    TENET_UNROLL
    for (int a = 0; a < kOwn; ++a) {
      TENET_UNROLL
      for (int b = 0; b < kOwn; ++b) {
        const int j = x_ + kSide * b;
        s[a][b] *= Block::t_.factors ? factors[j] : Block::t_.scale;
        if (!sees(a, start + j)) s[a][b] = nothing<S>;
      }
    }
  }
  /// Which weights of the tile at `start` dropout keeps: bit a * kOwn + b.
  TENET_GPU uint32_t kept_weights(int start) const {
    uint32_t kept = 0;
    TENET_ROLL
    for (int n = 0; n < kOwn * kOwn; ++n) {
      const int j = start + x_ + kSide * (n % kOwn);
      const int64_t at = Block::sight_.position(j < Block::stop_ ? j : Block::stop_ - 1);
      kept |= (Block::t_.keeps(Block::head_, query(n / kOwn), at) ? 1u : 0u) << n;
    }
    return kept;
  }

  int x_, y_;  // the thread's first column, and its first row
  int end_[kOwn], self_[kOwn];
};

}  // namespace tenet::cuda::attention
