/// The forward pass of band attention of f32 and f64.
#pragma once

#include <tenet/cuda/detail/attention_fma_task.h>

namespace tenet::cuda::attention {

template <class M, class S, int W>
class FmaForward : FmaQueryBlock<M, S, W> {
  using Base = FmaQueryBlock<M, S, W>;
  using Of = Columns<S, W>;
  using Base::head_, Base::last_, Base::open_, Base::query, Base::sees, Base::sight_, Base::t_;
  using Base::start_, Base::stop_, Base::v_, Base::x_, Base::y_;

 public:
  /// Bytes of shared memory.
  TENET_HD static constexpr int64_t bytes() {
    return (2 * Base::kElements + Base::kReused) * int64_t{sizeof(S)} + kTile * int64_t{sizeof(S)} +
           kTile * 4;
  }

  TENET_GPU FmaForward(const Task<S>& t, void* shared)
      : Base(t),
        queries_(static_cast<S*>(shared)),
        keys_(queries_ + Base::kElements),
        values_(keys_ + Base::kReused),
        factors_(values_ + Base::kElements),
        faulty_(reinterpret_cast<int32_t*>(factors_ + kTile)) {}

  TENET_GPU void run() {
    if (Base::empty()) return;
    clear(total_);
    for (int a = 0; a < kOwn; ++a) top_[a] = nothing<S>, sum_[a] = 0;
    Base::template load_queries<W>(t_.q, queries_, kTile);
    M::commit_copies();
    for (int start = start_; start < stop_; start += kTile) {
      Base::template load_keys<W>(start, keys_, values_, S(1), factors_);
      M::commit_copies();
      M::template wait_for_copies<0>();
      const bool faulty = start + kTile > open_ && hide();
      M::barrier();
      step(start, faulty);
      M::barrier();
    }
    M::template wait_for_copies<0>();
    write();
  }

 private:
  /// The weights lie where the keys were.
  TENET_GPU S* weights() const { return keys_ + y_ * kWeightStride<S>; }

  /// Values that are not finite become 0, so that queries that do not see them do not meet them;
  /// faulty_ has their keys. Whether there are any.
  TENET_GPU bool hide() const {
    for (int r = M::thread(); r < kTile; r += M::threads()) faulty_[r] = 0;
    M::barrier();
    bool found = false;
    hide_faulty<M, W>(values_, [&](int r) { faulty_[r] = found = true; });
    return M::barrier_any(found);
  }

  TENET_GPU void step(int start, bool faulty) {
    Weights<S> s;
    clear(s);
    fma_rows<S, W>(queries_ + y_ * kStride<S, W>, keys_ + x_ * kStride<S, W>, s);
    Base::finish_scores(s, start, factors_);
    soften(s);
    if (t_.drop > 0) {
      const uint32_t kept = Base::kept_weights(start);
      TENET_UNROLL
      for (int n = 0; n < kOwn * kOwn; ++n) {
        if (!(kept >> n & 1)) s[n / kOwn][n % kOwn] = 0;
      }
    }
    M::barrier();
    put_weights(s, weights(), x_);
    M::warp_barrier();  // a row's threads are of one warp
    fma_sums<S, W>(weights(), values_, x_, total_);
    if (faulty) add_faulty(start);
  }

  /// A step of the online softmax: s becomes exp(s - top), the sums so far shrink.
  TENET_GPU void soften(Weights<S>& s) {
    TENET_UNROLL
    for (int a = 0; a < kOwn; ++a) {
      S top = top_[a];
      TENET_UNROLL
      for (int b = 0; b < kOwn; ++b) top = s[a][b] > top ? s[a][b] : top;
      top = side_top<M>(top);
      const S base = top == nothing<S> ? S(0) : top;
      const S shrink = math::exp(top_[a] - base);
      top_[a] = top;
      S sum = 0;
      TENET_UNROLL
      for (int b = 0; b < kOwn; ++b) {
        s[a][b] = math::exp(s[a][b] - base);
        sum += s[a][b];
      }
      sum_[a] = sum_[a] * shrink + sum;
      TENET_UNROLL
      for (int n = 0; n < Of::kCount; ++n) total_[a][n] *= shrink;
    }
  }

  /// Adds p v of the values that hide() took out.
  TENET_GPU void add_faulty(int start) {
    for (int r = 0; r < kTile; ++r) {
      if (!faulty_[r] || start + r >= stop_) continue;
      const S* v = v_.at(sight_.position(start + r));
      TENET_UNROLL
      for (int n = 0; n < Of::kCount; ++n) {
        const int column = Of::first(x_, n / Of::kUnit) + n % Of::kUnit;
        if (column >= t_.size || is_finite(v[column])) continue;
        TENET_UNROLL
        for (int a = 0; a < kOwn; ++a) {
          if (sees(a, start + r)) total_[a][n] += weights()[a * kWeightStride<S> + r] * v[column];
        }
      }
    }
  }

  TENET_GPU void write() const {
    TENET_UNROLL
    for (int a = 0; a < kOwn; ++a) {
      const S sum = side_sum<M>(sum_[a]);
      const int i = query(a);
      if (i >= last_) continue;
      if (x_ == 0) t_.log_sum[head_ * t_.Lq + i] = top_[a] + math::log(sum);
      const bool alone = sum == 0 && sight_.falls_back(i);
      const S* const own = v_.at(alone ? i + sight_.offset : 0);
      const S share = sum == 0 ? S(0) : t_.kept / sum;
      S* const y = rows_of(t_, t_.y, head_).at(i);
      TENET_UNROLL
      for (int g = 0; g < Of::kGroups; ++g) {
        Vector<S, Of::kUnit> values;
        TENET_UNROLL
        for (int u = 0; u < Of::kUnit; ++u) {
          const int column = Of::first(x_, g) + u;
          values.at[u] = total_[a][g * Of::kUnit + u] * share + S(0);
          if (alone && column < t_.size) values.at[u] = own[column];
        }
        store_group<S, W>(t_, y, x_, g, values);
      }
    }
  }

  S *queries_, *keys_, *values_, *factors_;
  int32_t* faulty_;
  S top_[kOwn], sum_[kOwn];
  Sums<S, W> total_;
};

}  // namespace tenet::cuda::attention
