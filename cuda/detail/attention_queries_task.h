/// A block of queries that walks over the keys that it sees, for 16-bit types.
#pragma once

#include <tenet/cuda/detail/attention_tile_task.h>

namespace tenet::cuda::attention {

/// A block of threads / 32 warps has 16 queries for each; two tiles of keys and values are in flight.
/// W is the size rounded up to one that there are kernels for.
template <class M, class T, int W>
class QueryTiles {
 public:
  static constexpr int kElements = kTile * kStride<W>;
  /// Bytes of shared memory of the keys' tiles and factors, and of a block's rows.
  TENET_HD static constexpr int64_t tile_bytes() {
    return 4 * kElements * int64_t{sizeof(T)} + 2 * kTile * 4;
  }
  TENET_HD static constexpr int64_t row_bytes(int warps) {
    return int64_t{16} * warps * kStride<W> * int64_t{sizeof(T)};
  }

 protected:
  /// `shared`: tile_bytes().
  TENET_GPU QueryTiles(const Task<T>& t, void* shared)
      : t_(t),
        tiles_(static_cast<T*>(shared)),
        factors_(reinterpret_cast<float*>(tiles_ + 4 * kElements)) {
    const QueryBlocks blocks{t.Lq, t.sight.offset, t.sight.chunk, M::threads() / 2};
    const int64_t count = blocks.count();
    head_ = M::block() / count;
    sight_ = t.sight_of(head_ / t.H);
    k_ = rows_of(t, t.k, head_), v_ = rows_of(t, t.v, head_);
    range_ = blocks.range(count - 1 - M::block() % count);  // the longest first if causal
    lane_ = M::thread() % 32;
    first_ = range_.first + M::thread() / 32 * 16;
  }

  TENET_GPU bool empty() const { return range_.first >= range_.last; }
  TENET_GPU int64_t query(int row) const { return first_ + lane_ / 4 + row * 8; }
  TENET_GPU bool sees(int row, int key) const { return key < end_[row] && key != self_[row]; }
  TENET_GPU int column(int e) const { return mma::c_place(lane_, e).column; }

  /// What the block, the warp and this thread's two rows see.
  TENET_GPU void look() {
    start_ = static_cast<int>(sight_.begin(range_.first));
    stop_ = static_cast<int>(sight_.end(range_.last - 1));
    open_ = open_until(range_.first);
    for (int row = 0; row < 2; ++row) {
      const int64_t i = query(row);
      const bool used = i < range_.last;
      end_[row] = used ? static_cast<int>(sight_.end(i)) : 0;
      self_[row] = used && sight_.exclude_self ? static_cast<int>(sight_.self(i)) : -1;
    }
    const bool any = first_ < range_.last;
    warp_open_ = any ? open_until(first_) : start_;
    const int64_t last = Sight::least(first_ + 16, range_.last) - 1;
    warp_stop_ = any ? static_cast<int>(sight_.end(last)) : start_;
  }

  /// Starts to load the block's rows of an operand.
  TENET_GPU void load_queries(const HeadRows<const T>& all, T* tile) const {
    const Rows<const T> rows = rows_of(t_, all, head_);
    load_tile<M, W>(t_, tile, M::threads() / 2, [&](int r) {
      const int64_t i = range_.first + r;
      return i < range_.last ? rows.at(i) : nullptr;
    });
  }

  /// Calls arrive(start, buffer) when this thread's part of a tile is there and, where the warp sees
  /// some of it, step(start, buffer) when all of it is. What was loaded before is there as well.
  template <class Arrive, class Step>
  TENET_GPU void walk(Arrive&& arrive, Step&& step) {
    load(start_, 0);
    int buffer = 0;
    for (int start = start_; start < stop_; start += kTile, buffer ^= 1) {
      load(start + kTile, buffer ^ 1);
      M::template wait_for_copies<1>();
      arrive(start, buffer);
      M::barrier();
      if (start < warp_stop_) step(start, buffer);
      M::barrier();
    }
    M::template wait_for_copies<0>();
  }
  TENET_GPU T* keys(int buffer) const { return tiles_ + buffer * 2 * kElements; }
  TENET_GPU T* values(int buffer) const { return keys(buffer) + kElements; }

  /// s times the factors of its keys, log2(e) included; -inf for those that a row does not see.
  TENET_GPU void finish_scores(float (&s)[kTile / 8][4], int start, int buffer) const {
    const float all = t_.scale * kLog2E;
    const float* const factors = factors_ + buffer * kTile;
    TENET_UNROLL
    for (int n = 0; n < kTile / 8; ++n) {
      TENET_UNROLL
      for (int e = 0; e < 4; ++e) s[n][e] *= t_.factors ? factors[n * 8 + column(e)] : all;
    }
    if (start + kTile <= warp_open_) return;
    TENET_UNROLL
    for (int n = 0; n < kTile / 8; ++n) {
      TENET_UNROLL
      for (int e = 0; e < 4; ++e) {
        if (!sees(e / 2, start + n * 8 + column(e))) s[n][e] = nothing<float>;
      }
    }
  }

  /// Which weights of the tile at `start` dropout keeps: bit n * 4 + e.
  TENET_GPU uint32_t kept_weights(int start) const {
    uint32_t kept = 0;
    TENET_ROLL
    for (int n = 0; n < kTile / 8; ++n) {
      const int j = start + n * 8 + column(0);
      const int64_t a = sight_.position(Sight::least(j, stop_ - 1));
      const int64_t b = sight_.position(Sight::least(j + 1, stop_ - 1));
      const uint32_t pair = kept_pair(t_, head_, query(0), a, b);
      kept |= (pair | kept_pair(t_, head_, query(1), a, b) << 2) << (n * 4);
    }
    return kept;
  }

 private:
  /// All queries from i on see the keys before this one.
  TENET_GPU int open_until(int64_t i) const {
    int64_t end = sight_.end(i);
    if (sight_.exclude_self) {
      end = Sight::least(end, sight_.number(Sight::least(i + sight_.offset, sight_.Lk)));
    }
    return static_cast<int>(end);
  }

  /// Starts to load the keys and values from `start` on, if there are any.
  TENET_GPU void load(int start, int buffer) {
    if (start < stop_) {
      const auto row = [&](const Rows<const T>& of, int r) {
        return start + r < stop_ ? of.at(sight_.position(start + r)) : nullptr;
      };
      load_tile<M, W>(t_, keys(buffer), kTile, [&](int r) { return row(k_, r); });
      load_tile<M, W>(t_, values(buffer), kTile, [&](int r) { return row(v_, r); });
      if (t_.factors) load_factors<M>(t_, sight_, head_, start, stop_, factors_ + buffer * kTile);
    }
    M::commit_copies();
  }

 protected:
  const Task<T>& t_;
  T* tiles_;
  float* factors_;
  int64_t head_;
  Sight sight_;
  Rows<const T> k_, v_;
  QueryRange range_;
  int lane_;
  int64_t first_;            // the warp's first query
  int start_, stop_, open_;  // keys that some query sees; all see those before open_
  int warp_open_, warp_stop_;
  int end_[2], self_[2];
};

}  // namespace tenet::cuda::attention
