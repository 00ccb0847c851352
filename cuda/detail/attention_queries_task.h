/// A block of queries that walks over the keys that it sees, for 16-bit types.
#pragma once

#include <tenet/cuda/detail/attention_tile_task.h>

namespace tenet::cuda::attention {

/// A block of threads / 32 warps has 16 queries for each; two tiles of keys and values are in
/// flight. W is the size rounded up to one that there are kernels for.
template <class M, class T, int W>
class QueryTiles : protected QueryBlock<M, T> {
  using Block = QueryBlock<M, T>;

 public:
  static constexpr int kElements = kTile * kStride<T, W>;
  /// Bytes of shared memory of the keys' tiles and factors, and of a block's rows.
  TENET_HD static constexpr int64_t tile_bytes() {
    return 4 * kElements * int64_t{sizeof(T)} + 2 * kTile * 4;
  }
  TENET_HD static constexpr int64_t row_bytes(int warps) {
    return int64_t{16} * warps * kStride<T, W> * int64_t{sizeof(T)};
  }

 protected:
  using Block::start_, Block::stop_;
  using Block::t_, Block::head_, Block::sight_, Block::first_, Block::last_;

  /// `shared`: tile_bytes().
  TENET_GPU QueryTiles(const Task<T>& t, void* shared)
      : Block(t, M::threads() / 2),
        tiles_(static_cast<T*>(shared)),
        factors_(reinterpret_cast<float*>(tiles_ + 4 * kElements)),
        lane_(M::thread() % 32),
        warp_first_(first_ + M::thread() / 32 * 16) {
    for (int row = 0; row < 2; ++row) {
      const int i = query(row);
      end_[row] = i < last_ ? static_cast<int>(sight_.end(i)) : 0;
      self_[row] = i < last_ ? static_cast<int>(sight_.self(i)) : -1;
    }
    const bool any = warp_first_ < last_;
    warp_open_ = any ? Block::open_until(warp_first_) : 0;
    const int last = warp_first_ + 16 < last_ ? warp_first_ + 15 : last_ - 1;
    warp_stop_ = any ? static_cast<int>(sight_.end(last)) : 0;
  }

  TENET_GPU int query(int row) const { return warp_first_ + lane_ / 4 + row * 8; }
  TENET_GPU bool sees(int row, int key) const { return key < end_[row] && key != self_[row]; }
  TENET_GPU int column(int e) const { return mma::c_place(lane_, e).column; }

  /// Starts to load the block's rows of an operand.
  TENET_GPU void load_queries(const HeadRows<const T>& all, T* tile) const {
    Block::template load_queries<W>(all, tile, M::threads() / 2);
  }

  /// Calls arrive(start, buffer) when this thread's part of a tile is there and, where the warp
  /// sees some of it, step(start, buffer) when all of it is. What was loaded before is there as
  /// well.
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
  /// Starts to load the keys and values from `start` on, if there are any.
  TENET_GPU void load(int start, int buffer) const {
    if (start < stop_) {
      Block::template load_keys<W>(start, keys(buffer), values(buffer), kLog2E,
                                   factors_ + buffer * kTile);
    }
    M::commit_copies();
  }

 protected:
  T* tiles_;
  float* factors_;
  int lane_;
  int warp_first_, warp_open_, warp_stop_;  // the warp's first query, and its open_ and stop_
  int end_[2], self_[2];
};

}  // namespace tenet::cuda::attention
