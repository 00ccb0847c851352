/// The forward pass of band attention of 16-bit types.
#pragma once

#include <tenet/cuda/detail/attention_tile_task.h>

namespace tenet::cuda::attention {

/// A block of threads / 32 warps takes 16 queries for each, and walks over the keys that any of them
/// sees, two tiles in flight. W is the size rounded up to 16.
template <class M, class T, int W>
class TileForward {
 public:
  static constexpr int kElements = kTile * kStride<W>;
  /// Bytes of shared memory for `warps` warps.
  TENET_HD static constexpr int64_t bytes(int warps) {
    return (16 * warps * kStride<W> + 4 * kElements) * int64_t{sizeof(T)} + 2 * kTile * 4 +
           kTile * 4;
  }

  TENET_GPU TileForward(const Task<T>& t, void* shared)
      : t_(t),
        queries_(static_cast<T*>(shared)),
        tiles_(queries_ + M::threads() / 2 * kStride<W>),
        factors_(reinterpret_cast<float*>(tiles_ + 4 * kElements)),
        faulty_(reinterpret_cast<int32_t*>(factors_ + 2 * kTile)) {
    const QueryBlocks blocks{t.Lq, t.sight.offset, t.sight.chunk, M::threads() / 2};
    const int64_t count = blocks.count();
    head_ = M::block() / count;
    sight_ = t.sight_of(head_ / t.H);
    k_ = rows_of(t, t.k, head_), v_ = rows_of(t, t.v, head_);
    range_ = blocks.range(count - 1 - M::block() % count);  // the longest first if causal
    lane_ = M::thread() % 32;
    first_ = range_.first + M::thread() / 32 * 16;
  }

  TENET_GPU void run() {
    if (range_.first >= range_.last) return;
    start_ = static_cast<int>(sight_.begin(range_.first));
    stop_ = static_cast<int>(sight_.end(range_.last - 1));
    open_ = open_until(range_.first);
    look();
    const Rows<const T> q = rows_of(t_, t_.q, head_);
    load_tile<M, W>(t_, queries_, M::threads() / 2, [&](int r) {
      const int64_t i = range_.first + r;
      return i < range_.last ? q.at(i) : nullptr;
    });
    load(start_, 0);
    int buffer = 0;
    for (int start = start_; start < stop_; start += kTile, buffer ^= 1) {
      load(start + kTile, buffer ^ 1);
      M::template wait_for_copies<1>();
      const bool faulty = start + kTile > open_ && hide_faulty(buffer);
      M::barrier();
      if (start == start_) {
        load_rows<M, T, W>(queries_ + M::thread() / 32 * 16 * kStride<W>, rows_);
      }
      if (start < warp_stop_) step(start, buffer, faulty);
      M::barrier();
    }
    write();
  }

 private:
  TENET_GPU T* keys(int buffer) const { return tiles_ + buffer * 2 * kElements; }
  TENET_GPU T* values(int buffer) const { return keys(buffer) + kElements; }

  /// All queries from i on see the keys before this one.
  TENET_GPU int open_until(int64_t i) const {
    int64_t end = sight_.end(i);
    if (sight_.exclude_self) {
      end = Sight::least(end, sight_.number(Sight::least(i + sight_.offset, sight_.Lk)));
    }
    return static_cast<int>(end);
  }
  TENET_GPU int64_t query(int row) const { return first_ + lane_ / 4 + row * 8; }

  /// What this thread's two rows see.
  TENET_GPU void look() {
    for (int row = 0; row < 2; ++row) {
      const int64_t i = query(row);
      const bool used = i < range_.last;
      end_[row] = used ? static_cast<int>(sight_.end(i)) : 0;
      self_[row] = used && sight_.exclude_self ? static_cast<int>(sight_.self(i)) : -1;
      top_[row] = nothing<float>;
      sum_[row] = 0;
    }
    const bool any = first_ < range_.last;
    warp_open_ = any ? open_until(first_) : start_;
    const int64_t last = Sight::least(first_ + 16, range_.last) - 1;
    warp_stop_ = any ? static_cast<int>(sight_.end(last)) : start_;
    clear(total_);
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

  /// Values that are not finite become 0, so that queries that do not see them do not meet them;
  /// faulty_ has their keys. Whether there are any.
  TENET_GPU bool hide_faulty(int buffer) {
    constexpr int parts = W / 8;
    for (int r = M::thread(); r < kTile; r += M::threads()) faulty_[r] = 0;
    M::barrier();
    bool found = false;
    for (int n = M::thread(); n < kTile * parts; n += M::threads()) {
      T* const v = values(buffer) + n / parts * kStride<W> + n % parts * 8;
      for (int e = 0; e < 8; ++e) {
        if (is_finite(v[e])) continue;
        v[e] = T(0);
        found = true;
        faulty_[n / parts] = 1;
      }
    }
    return M::barrier_any(found);
  }

  TENET_GPU void step(int start, int buffer, bool faulty) {
    float s[kTile / 8][4];
    clear(s);
    multiply_rows<M, T, W>(rows_, keys(buffer), s);
    scale(s, factors_ + buffer * kTile);
    if (start + kTile > warp_open_) hide(s, start);
    soften(s);
    if (t_.drop > 0) drop(s, start);
    multiply_sums<M, T, W>(s, values(buffer), total_);
    if (faulty) add_faulty(s, start);
  }

  TENET_GPU void scale(float (&s)[kTile / 8][4], const float* factors) const {
    const float all = t_.scale * kLog2E;
    TENET_UNROLL
    for (int n = 0; n < kTile / 8; ++n) {
      TENET_UNROLL
      for (int e = 0; e < 4; ++e) {
        s[n][e] *= t_.factors ? factors[n * 8 + mma::c_place(lane_, e).column] : all;
      }
    }
  }
  TENET_GPU bool sees(int row, int key) const { return key < end_[row] && key != self_[row]; }
  TENET_GPU void hide(float (&s)[kTile / 8][4], int start) const {
    TENET_UNROLL
    for (int n = 0; n < kTile / 8; ++n) {
      TENET_UNROLL
      for (int e = 0; e < 4; ++e) {
        const int key = start + n * 8 + mma::c_place(lane_, e).column;
        if (!sees(e / 2, key)) s[n][e] = nothing<float>;
      }
    }
  }

  /// A step of the online softmax: s becomes 2^(s - top), the sums so far shrink.
  TENET_GPU void soften(float (&s)[kTile / 8][4]) {
    TENET_UNROLL
    for (int row = 0; row < 2; ++row) {
      float top = nothing<float>;
      TENET_UNROLL
      for (int n = 0; n < kTile / 8; ++n) top = fmaxf(top, fmaxf(s[n][row * 2], s[n][row * 2 + 1]));
      top = fmaxf(top_[row], row_top<M>(top));
      const float base = top == nothing<float> ? 0.0f : top;
      const float shrink = M::exp2(top_[row] - base);
      top_[row] = top;
      float sum = 0;
      TENET_UNROLL
      for (int n = 0; n < kTile / 8; ++n) {
        TENET_UNROLL
        for (int e = row * 2; e < row * 2 + 2; ++e) {
          s[n][e] = M::exp2(s[n][e] - base);
          sum += s[n][e];
        }
      }
      sum_[row] = sum_[row] * shrink + sum;
      TENET_UNROLL
      for (int n = 0; n < W / 8; ++n)
        total_[n][row * 2] *= shrink, total_[n][row * 2 + 1] *= shrink;
    }
  }

  TENET_GPU void drop(float (&s)[kTile / 8][4], int start) const {
    uint32_t kept = 0;
    TENET_ROLL
    for (int n = 0; n < kTile / 8; ++n) {
      const int j = start + n * 8 + mma::c_place(lane_, 0).column;
      const int64_t a = sight_.position(Sight::least(j, stop_ - 1));
      const int64_t b = sight_.position(Sight::least(j + 1, stop_ - 1));
      const uint32_t pair = kept_pair(t_, head_, query(0), a, b);
      kept |= (pair | kept_pair(t_, head_, query(1), a, b) << 2) << (n * 4);
    }
    TENET_UNROLL
    for (int n = 0; n < kTile / 8; ++n) {
      TENET_UNROLL
      for (int e = 0; e < 4; ++e) s[n][e] = kept >> (n * 4 + e) & 1 ? s[n][e] : 0.0f;
    }
  }

  /// Adds p v of the values that hide_faulty() took out: v itself where p > 0, else NaN.
  TENET_GPU void add_faulty(const float (&s)[kTile / 8][4], int start) {
    uint32_t seen = 0, weighed = 0;  // bit n * 2 + e % 2 of each row's 16
    TENET_UNROLL
    for (int n = 0; n < kTile / 8; ++n) {
      TENET_UNROLL
      for (int e = 0; e < 4; ++e) {
        const uint32_t bit = 1u << (n * 2 + e % 2 + e / 2 * 16);
        if (sees(e / 2, start + n * 8 + mma::c_place(lane_, e).column)) seen |= bit;
        if (s[n][e] > 0) weighed |= bit;
      }
    }
    for (int r = 0; r < kTile; ++r) {
      const int holder = lane_ / 4 * 4 + r % 8 / 2, bit = r / 8 * 2 + r % 2;
      const uint32_t see = M::shuffle(seen, holder) >> bit;
      const uint32_t weigh = M::shuffle(weighed, holder) >> bit;
      if (!faulty_[r] || start + r >= stop_) continue;
      const T* v = v_.at(sight_.position(start + r));
      TENET_UNROLL
      for (int n = 0; n < W / 8; ++n) {
        TENET_UNROLL
        for (int e = 0; e < 4; ++e) {
          const int column = n * 8 + mma::c_place(lane_, e).column;
          if (column >= t_.size || is_finite(v[column])) continue;
          const float value = v[column];
          if (see >> (e / 2 * 16) & 1) {
            total_[n][e] += weigh >> (e / 2 * 16) & 1 ? value : value * 0.0f;
          }
        }
      }
    }
  }

  TENET_GPU void write() {
    TENET_UNROLL
    for (int row = 0; row < 2; ++row) {
      const float sum = row_sum<M>(sum_[row]);
      const int64_t i = query(row);
      if (i >= range_.last) continue;
      if (lane_ % 4 == 0) {
        t_.log_sum[head_ * t_.Lq + i] = top_[row] * kLn2 + math::log(sum);
      }
      const bool alone = sum == 0 && sight_.falls_back(i);
      const T* own = v_.at(alone ? i + sight_.offset : 0);
      const float share = sum == 0 ? 0.0f : t_.kept / sum;
      T* const y = rows_of(t_, t_.y, head_).at(i);
      TENET_UNROLL
      for (int n = 0; n < W / 8; ++n) {
        const int column = n * 8 + mma::c_place(lane_, 0).column;
        float low = total_[n][row * 2] * share + 0.0f, high = total_[n][row * 2 + 1] * share + 0.0f;
        if (alone) {
          low = column < t_.size ? float(own[column]) : 0.0f;
          high = column + 1 < t_.size ? float(own[column + 1]) : 0.0f;
        }
        store_pair<M>(t_, y, column, low, high);
      }
    }
  }

  const Task<T>& t_;
  T *queries_, *tiles_;
  float* factors_;
  int32_t* faulty_;
  int64_t head_;
  Sight sight_;
  Rows<const T> k_, v_;
  QueryRange range_;
  int lane_;
  int64_t first_;            // the warp's first query
  int start_, stop_, open_;  // keys that some query sees; all see those before open_
  int warp_open_, warp_stop_;
  int end_[2], self_[2];
  float top_[2], sum_[2];
  Rows16<W> rows_;
  float total_[W / 8][4];
};

}  // namespace tenet::cuda::attention
