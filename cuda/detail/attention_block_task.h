/// A block of queries, or of keys, of one head: what it sees, and its tiles in shared memory.
/// Dao, "FlashAttention-2" (2023), arXiv 2307.08691.
#pragma once

#include <tenet/cuda/detail/attention_task.h>

namespace tenet::cuda::attention {

/// Keys, or in backward queries, that a block takes at a time.
inline constexpr int kTile = 64;

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

/// Numbers of T that are copied at a time.
template <class T>
inline constexpr int kPart = 16 / static_cast<int>(sizeof(T));
/// Rows of a tile in shared memory are W elements, then 16 bytes: eight rows' 16 bytes at a column
/// lie in 32 different banks.
template <class T, int W>
inline constexpr int kStride = W + kPart<T>;

/// Copies `rows` rows into a tile, zeros beyond t.size and where row_of(r) is null. Rows that can
/// be copied 16 bytes at a time arrive with the thread's group of copies.
template <class M, int W, class T, class RowOf>
TENET_GPU void load_tile(const Task<T>& t, T* tile, int rows, RowOf&& row_of) {
  constexpr int part = kPart<T>, parts = W / part;
  for (int n = M::thread(); n < rows * parts; n += M::threads()) {
    const int r = n / parts, c = n % parts * part;
    const T* from = row_of(r);
    T* const to = tile + r * kStride<T, W> + c;
    if (t.aligned) {
      const bool valid = from != nullptr && c < t.size;
      M::copy_async(to, valid ? from + c : t.q.data, valid);
    } else {
      for (int e = 0; e < part; ++e) {
        to[e] = from != nullptr && c + e < t.size ? from[c + e] : T(0);
      }
    }
  }
}

/// What the scores of the keys of a tile are multiplied by, times `unit`; 0 beyond `stop`.
template <class M, class T>
TENET_GPU void load_factors(const Task<T>& t, const Sight& sight, int64_t head, int start, int stop,
                            Compute<T> unit, Compute<T>* factors) {
  for (int r = M::thread(); r < kTile; r += M::threads()) {
    const int j = start + r;
    factors[r] = j < stop ? t.factor(head, sight.position(j)) * unit : Compute<T>(0);
  }
}

/// Whether a number is neither infinite nor NaN.
TENET_HD inline bool is_finite(bf16 x) { return (x.bits & 0x7f80u) != 0x7f80u; }
TENET_HD inline bool is_finite(f16 x) { return (x.bits & 0x7c00u) != 0x7c00u; }
template <class S>
TENET_HD bool is_finite(S x) {
  return x - x == 0;
}

/// Numbers of a tile that are not finite become 0: those that this thread copied, which then `note`
/// is told the rows of.
template <class M, int W, class T, class Note>
TENET_GPU void hide_faulty(T* tile, Note&& note) {
  constexpr int part = kPart<T>, parts = W / part;
  for (int n = M::thread(); n < kTile * parts; n += M::threads()) {
    T* const x = tile + n / parts * kStride<T, W> + n % parts * part;
    for (int e = 0; e < part; ++e) {
      if (is_finite(x[e])) continue;
      x[e] = T(0);
      note(n / parts);
    }
  }
}

/// Sums in registers become 0.
template <class S, int A, int B>
TENET_GPU void clear(S (&c)[A][B]) {
  TENET_UNROLL
  for (int a = 0; a < A; ++a) {
    TENET_UNROLL
    for (int b = 0; b < B; ++b) c[a][b] = 0;
  }
}

/// A block of queries of one head, and the keys that some of them see.
template <class M, class T>
class QueryBlock {
 protected:
  TENET_GPU QueryBlock(const Task<T>& t, int rows) : t_(t) {
    const QueryBlocks blocks{t.Lq, t.sight.offset, t.sight.chunk, rows};
    const int64_t count = blocks.count();
    head_ = M::block() / count;
    sight_ = t.sight_of(head_ / t.H);
    k_ = rows_of(t, t.k, head_), v_ = rows_of(t, t.v, head_);
    const QueryRange range = blocks.range(count - 1 - M::block() % count);  // the longest first
    first_ = static_cast<int>(range.first), last_ = static_cast<int>(range.last);
    if (empty()) return;
    start_ = static_cast<int>(sight_.begin(first_));
    stop_ = static_cast<int>(sight_.end(last_ - 1));
    open_ = open_until(first_);
  }

  TENET_GPU bool empty() const { return first_ >= last_; }
  /// All queries from i on see the keys before this one.
  TENET_GPU int open_until(int i) const {
    int64_t end = sight_.end(i);
    if (sight_.exclude_self) {
      end = Sight::least(end, sight_.number(Sight::least(i + sight_.offset, sight_.Lk)));
    }
    return static_cast<int>(end);
  }
  /// Starts to load the block's rows of an operand.
  template <int W>
  TENET_GPU void load_queries(const HeadRows<const T>& all, T* tile, int rows) const {
    const Rows<const T> of = rows_of(t_, all, head_);
    load_tile<M, W>(t_, tile, rows,
                    [&](int r) { return first_ + r < last_ ? of.at(first_ + r) : nullptr; });
  }
  /// Starts to load the keys and values from `start` on, and their factors times `unit`.
  template <int W>
  TENET_GPU void load_keys(int start, T* keys, T* values, Compute<T> unit,
                           Compute<T>* factors) const {
    const auto row = [&](const Rows<const T>& of, int r) {
      return start + r < stop_ ? of.at(sight_.position(start + r)) : nullptr;
    };
    load_tile<M, W>(t_, keys, kTile, [&](int r) { return row(k_, r); });
    load_tile<M, W>(t_, values, kTile, [&](int r) { return row(v_, r); });
    if (t_.factors) load_factors<M>(t_, sight_, head_, start, stop_, unit, factors);
  }

  const Task<T>& t_;
  int64_t head_;
  Sight sight_;
  Rows<const T> k_, v_;
  int first_, last_;
  int start_ = 0, stop_ = 0, open_ = 0;  // keys that some query sees; all see those before open_
};

/// What a row's scores are measured against; where it saw nothing, infinity makes all weights 0.
template <class S>
TENET_HD S base_of(S log_sum, S unit) {
  return log_sum == nothing<S> ? -nothing<S> : log_sum * unit;
}

/// What a block of keys knows of a query.
template <class S>
struct QueryFacts {
  S base, delta;
  int begin, end, self;  // the keys that it sees

  TENET_HD bool sees(int key) const { return key >= begin && key < end && key != self; }
};

/// Blocks of keys of a head.
TENET_HD constexpr int64_t key_blocks(int64_t Lk) { return (Lk + kTile - 1) / kTile; }

/// kTile keys of one head, and the queries that see some of them.
template <class M, class T>
class KeyBlock {
 protected:
  using S = Compute<T>;

  TENET_GPU explicit KeyBlock(const Task<T>& t)
      : t_(t),
        head_(M::block() / key_blocks(t.Lk)),
        sight_(t.sight_of(head_ / t.H)),
        q_(rows_of(t, t.q, head_)),
        dy_(rows_of(t, t.dy, head_)),
        start_(static_cast<int>(M::block() % key_blocks(t.Lk)) * kTile),
        stop_(static_cast<int>(sight_.keys())) {
    if (empty()) return;
    const QueryRange range = queries_of(sight_, t.Lq, start_, Sight::least(start_ + kTile, stop_));
    first_ = static_cast<int>(range.first), last_ = static_cast<int>(range.last);
  }

  TENET_GPU bool empty() const { return start_ >= stop_; }
  TENET_GPU S factor(int key) const {
    return key < stop_ ? t_.factor(head_, sight_.position(key)) : S(0);
  }
  template <int W>
  TENET_GPU void load_keys(const HeadRows<const T>& all, T* tile) const {
    const Rows<const T> rows = rows_of(t_, all, head_);
    load_tile<M, W>(t_, tile, kTile, [&](int r) {
      return start_ + r < stop_ ? rows.at(sight_.position(start_ + r)) : nullptr;
    });
  }
  /// Starts to load the queries from `first` on, and what is known of them.
  template <int W>
  TENET_GPU void load_queries(int first, T* queries, T* gradients, S unit,
                              QueryFacts<S>* facts) const {
    const auto row = [&](const Rows<const T>& of, int r) {
      return first + r < last_ ? of.at(first + r) : nullptr;
    };
    load_tile<M, W>(t_, queries, kTile, [&](int r) { return row(q_, r); });
    load_tile<M, W>(t_, gradients, kTile, [&](int r) { return row(dy_, r); });
    for (int r = M::thread(); r < kTile; r += M::threads()) {
      const int i = first + r;
      const int64_t at = head_ * t_.Lq + i;
      facts[r] = {-nothing<S>, 0, 0, 0, -1};
      if (i >= last_) continue;
      facts[r] = {base_of(t_.log_sum[at], unit), t_.delta[at], static_cast<int>(sight_.begin(i)),
                  static_cast<int>(sight_.end(i)), static_cast<int>(sight_.self(i))};
    }
  }
  /// Whether all queries of a tile see all keys of the block.
  TENET_GPU bool all_visible(int first) const {
    const int last = first + kTile - 1;
    return !sight_.exclude_self && last < last_ && sight_.begin(last) <= start_ &&
           sight_.end(first) >= start_ + kTile;
  }
  /// What turns dk, as if the normalisation of a key were a constant, into its gradient: dk - k (k
  /// . dk) / (size mean(k^2)).
  TENET_GPU S along_key(S product, S square) const {
    const S size = static_cast<S>(t_.size);
    return product / (size * (square / size + static_cast<S>(tenet::detail::tiles::kKeyEpsilon)));
  }

  const Task<T>& t_;
  int64_t head_;
  Sight sight_;
  Rows<const T> q_, dy_;
  int start_, stop_;
  int first_ = 0, last_ = 0;
};

}  // namespace tenet::cuda::attention
