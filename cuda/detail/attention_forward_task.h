/// The forward pass of band attention of 16-bit types.
#pragma once

#include <tenet/cuda/detail/attention_queries_task.h>

namespace tenet::cuda::attention {

template <class M, class T, int W>
class TileForward : QueryTiles<M, T, W> {
  using Base = QueryTiles<M, T, W>;
  using Base::keys, Base::values, Base::query, Base::sees, Base::column;
  using Base::t_, Base::head_, Base::sight_, Base::v_, Base::last_, Base::lane_, Base::stop_;

 public:
  /// Bytes of shared memory of a block of `warps` warps.
  TENET_HD static constexpr int64_t bytes(int warps) {
    return Base::tile_bytes() + kTile * 4 + Base::row_bytes(warps);
  }

  TENET_GPU TileForward(const Task<T>& t, void* shared)
      : Base(t, shared),
        faulty_(reinterpret_cast<int32_t*>(static_cast<char*>(shared) + Base::tile_bytes())),
        queries_(reinterpret_cast<T*>(faulty_ + kTile)) {}

  TENET_GPU void run() {
    if (Base::empty()) return;
    clear(total_);
    for (int row = 0; row < 2; ++row) top_[row] = nothing<float>, sum_[row] = 0;
    Base::load_queries(t_.q, queries_);
    bool faulty = false, first = true;
    const auto arrive = [&](int start, int buffer) {
      faulty = start + kTile > Base::open_ && hide(buffer);
    };
    Base::walk(arrive, [&](int start, int buffer) {
      if (first) load_rows<M, T, W>(queries_ + M::thread() / 32 * 16 * kStride<T, W>, rows_);
      first = false;
      step(start, buffer, faulty);
    });
    write();
  }

 private:
  /// Values that are not finite become 0, so that queries that do not see them do not meet them;
  /// faulty_ has their keys. Whether there are any.
  TENET_GPU bool hide(int buffer) {
    for (int r = M::thread(); r < kTile; r += M::threads()) faulty_[r] = 0;
    M::barrier();
    bool found = false;
    hide_faulty<M, W>(values(buffer), [&](int r) { faulty_[r] = found = true; });
    return M::barrier_any(found);
  }

  TENET_GPU void step(int start, int buffer, bool faulty) {
    float s[kTile / 8][4];
    clear(s);
    multiply_rows<M, T, W>(rows_, keys(buffer), s);
    Base::finish_scores(s, start, buffer);
    soften(s);
    if (t_.drop > 0) {
      const uint32_t kept = Base::kept_weights(start);
      TENET_UNROLL
      for (int n = 0; n < kTile / 8; ++n) {
        TENET_UNROLL
        for (int e = 0; e < 4; ++e) s[n][e] = kept >> (n * 4 + e) & 1 ? s[n][e] : 0.0f;
      }
    }
    multiply_sums<M, T, W>(s, values(buffer), total_);
    if (faulty) add_faulty(s, start);
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

  /// Adds p v of the values that hide_faulty() took out: v itself where p > 0, else NaN.
  TENET_GPU void add_faulty(const float (&s)[kTile / 8][4], int start) {
    uint32_t seen = 0, weighed = 0;  // bit n * 2 + e % 2 of each row's 16
    TENET_UNROLL
    for (int n = 0; n < kTile / 8; ++n) {
      TENET_UNROLL
      for (int e = 0; e < 4; ++e) {
        const uint32_t bit = 1u << (n * 2 + e % 2 + e / 2 * 16);
        if (sees(e / 2, start + n * 8 + column(e))) seen |= bit;
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
          const int at = n * 8 + column(e);
          if (at >= t_.size || is_finite(v[at])) continue;
          const float value = v[at];
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
      const int i = query(row);
      if (i >= last_) continue;
      if (lane_ % 4 == 0) {
        t_.log_sum[head_ * t_.Lq + i] = top_[row] * kLn2 + math::log(sum);
      }
      const bool alone = sum == 0 && sight_.falls_back(i);
      const T* own = v_.at(alone ? i + sight_.offset : 0);
      const float share = sum == 0 ? 0.0f : t_.kept / sum;
      T* const y = rows_of(t_, t_.y, head_).at(i);
      TENET_UNROLL
      for (int n = 0; n < W / 8; ++n) {
        const int at = n * 8 + column(0);
        float low = total_[n][row * 2] * share + 0.0f, high = total_[n][row * 2 + 1] * share + 0.0f;
        if (alone) {
          low = at < t_.size ? float(own[at]) : 0.0f;
          high = at + 1 < t_.size ? float(own[at + 1]) : 0.0f;
        }
        store_pair<M>(t_, y, at, low, high);
      }
    }
  }

  int32_t* faulty_;
  T* queries_;
  float top_[2], sum_[2];
  Rows16<W> rows_;
  float total_[W / 8][4];
};

}  // namespace tenet::cuda::attention
