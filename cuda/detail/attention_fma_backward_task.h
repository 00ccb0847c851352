/// The backward pass of band attention of f32 and f64; as in attention_backward_task.h, a block of
/// queries gives dq, one of keys dk and dv.
#pragma once

#include <tenet/cuda/detail/attention_fma_task.h>

namespace tenet::cuda::attention {

template <class M, class S, int W>
class FmaQueries : FmaQueryBlock<M, S, W> {
  using Base = FmaQueryBlock<M, S, W>;
  using Of = Columns<S, W>;
  using Base::head_, Base::last_, Base::open_, Base::query, Base::start_, Base::stop_, Base::t_;
  using Base::x_, Base::y_;

 public:
  /// Bytes of shared memory.
  TENET_HD static constexpr int64_t bytes() {
    return (3 * Base::kElements + Base::kReused) * int64_t{sizeof(S)} + kTile * int64_t{sizeof(S)};
  }

  TENET_GPU FmaQueries(const Task<S>& t, void* shared)
      : Base(t),
        queries_(static_cast<S*>(shared)),
        gradients_(queries_ + Base::kElements),
        keys_(gradients_ + Base::kElements),
        values_(keys_ + Base::kElements),
        factors_(values_ + Base::kReused) {}

  TENET_GPU void run() {
    if (Base::empty()) return;
    clear(total_);
    for (int a = 0; a < kOwn; ++a) {
      const bool used = query(a) < last_;
      const int64_t at = head_ * t_.Lq + query(a);
      base_[a] = used ? base_of(t_.log_sum[at], S(1)) : -nothing<S>;
      delta_[a] = used ? t_.delta[at] : S(0);
    }
    Base::template load_queries<W>(t_.q, queries_, kTile);
    Base::template load_queries<W>(t_.dy, gradients_, kTile);
    M::commit_copies();
    for (int start = start_; start < stop_; start += kTile) {
      Base::template load_keys<W>(start, keys_, values_, S(1), factors_);
      M::commit_copies();
      M::template wait_for_copies<0>();
      if (start + kTile > open_) {  // no query meets what it does not see
        for (S* tile : {keys_, values_}) hide_faulty<M, W>(tile, [](int) {});
      }
      M::barrier();
      step(start);
      M::barrier();
    }
    M::template wait_for_copies<0>();
    write();
  }

 private:
  TENET_GPU void step(int start) {
    Weights<S> s, slope;
    clear(s), clear(slope);
    const int row = y_ * kStride<S, W>, column = x_ * kStride<S, W>;
    fma_rows<S, W>(queries_ + row, keys_ + column, s);
    fma_rows<S, W>(gradients_ + row, values_ + column, slope);
    Base::finish_scores(s, start, factors_);
    const uint32_t kept = t_.drop > 0 ? Base::kept_weights(start) : ~0u;
    TENET_UNROLL
    for (int a = 0; a < kOwn; ++a) {
      TENET_UNROLL
      for (int b = 0; b < kOwn; ++b) {
        const S p = math::exp(s[a][b] - base_[a]);
        const S dp = kept >> (a * kOwn + b) & 1 ? slope[a][b] * t_.kept : S(0);
        const S factor = t_.factors ? factors_[x_ + kSide * b] : t_.scale;
        slope[a][b] = p * (dp - delta_[a]) * factor;
      }
    }
    M::barrier();
    S* const weights = values_ + y_ * kWeightStride<S>;
    put_weights(slope, weights, x_);
    M::warp_barrier();  // a row's threads are of one warp
    fma_sums<S, W>(weights, keys_, x_, total_);
  }

  TENET_GPU void write() const {
    TENET_UNROLL
    for (int a = 0; a < kOwn; ++a) {
      if (query(a) >= last_) continue;
      S* const dq = rows_of(t_, t_.dq, head_).at(query(a));
      TENET_UNROLL
      for (int g = 0; g < Of::kGroups; ++g) {
        Vector<S, Of::kUnit> values;
        TENET_UNROLL
        for (int u = 0; u < Of::kUnit; ++u) values.at[u] = total_[a][g * Of::kUnit + u];
        store_group<S, W>(t_, dq, x_, g, values);
      }
    }
  }

  S *queries_, *gradients_, *keys_, *values_, *factors_;
  S base_[kOwn], delta_[kOwn];
  Sums<S, W> total_;
};

template <class M, class S, int W>
class FmaKeys : KeyBlock<M, S> {
  using Base = KeyBlock<M, S>;
  using Of = Columns<S, W>;
  using Base::first_, Base::head_, Base::last_, Base::sight_, Base::start_, Base::stop_, Base::t_;

 public:
  static constexpr int kElements = kTile * kStride<S, W>;
  /// Bytes of shared memory.
  TENET_HD static constexpr int64_t bytes() {
    return (4 * kElements + kTile * kWeightStride<S>)*int64_t{sizeof(S)} +
           kTile * int64_t{sizeof(QueryFacts<S>)};
  }

  TENET_GPU FmaKeys(const Task<S>& t, void* shared)
      : Base(t),
        keys_(static_cast<S*>(shared)),
        values_(keys_ + kElements),
        queries_(values_ + kElements),
        gradients_(queries_ + kElements),
        weights_(gradients_ + kElements),
        facts_(reinterpret_cast<QueryFacts<S>*>(weights_ + kTile * kWeightStride<S>)),
        x_(M::thread() % kSide),
        y_(M::thread() / kSide * kOwn) {
    weights_ += y_ * kWeightStride<S>;
  }

  TENET_GPU void run() {
    if (Base::empty()) return;
    clear(dk_), clear(dv_);
    for (int a = 0; a < kOwn; ++a) factor_[a] = Base::factor(key(a));
    Base::template load_keys<W>(t_.k, keys_);
    Base::template load_keys<W>(t_.v, values_);
    M::commit_copies();
    for (int first = first_; first < last_; first += kTile) {
      Base::template load_queries<W>(first, queries_, gradients_, S(1), facts_);
      M::commit_copies();
      M::template wait_for_copies<0>();
      M::barrier();
      step(first, Base::all_visible(first));
      M::barrier();
    }
    M::template wait_for_copies<0>();
    M::barrier();
    write();
  }

 private:
  TENET_GPU int key(int a) const { return start_ + y_ + a; }

  TENET_GPU void step(int first, bool open) {
    Weights<S> p, ds;
    clear(p), clear(ds);
    const int row = y_ * kStride<S, W>, column = x_ * kStride<S, W>;
    fma_rows<S, W>(keys_ + row, queries_ + column, p);
    fma_rows<S, W>(values_ + row, gradients_ + column, ds);
    const uint32_t kept = t_.drop > 0 ? kept_weights(first) : ~0u;
    TENET_UNROLL
    for (int b = 0; b < kOwn; ++b) {
      const QueryFacts<S>& query = facts_[x_ + kSide * b];
      TENET_UNROLL
      for (int a = 0; a < kOwn; ++a) {
        const bool sees = open || query.sees(key(a)), keep = kept >> (a * kOwn + b) & 1;
        const S weight = math::exp(sees ? p[a][b] * factor_[a] - query.base : nothing<S>);
        const S dp = keep && sees ? ds[a][b] * t_.kept : S(0);
        ds[a][b] = weight * (dp - query.delta) * factor_[a];
        p[a][b] = keep ? weight * t_.kept : S(0);
      }
    }
    put_weights(p, weights_, x_);
    M::warp_barrier();  // a row's threads are of one warp
    fma_sums<S, W>(weights_, gradients_, x_, dv_);
    M::warp_barrier();
    put_weights(ds, weights_, x_);
    M::warp_barrier();
    fma_sums<S, W>(weights_, queries_, x_, dk_);
  }

  /// Which weights of this thread's keys and the queries from `first` on dropout keeps.
  TENET_GPU uint32_t kept_weights(int first) const {
    uint32_t kept = 0;
    TENET_ROLL
    for (int n = 0; n < kOwn * kOwn; ++n) {
      const int j = key(n / kOwn);
      const int64_t at = sight_.position(j < stop_ ? j : stop_ - 1);
      kept |= (t_.keeps(head_, first + x_ + kSide * (n % kOwn), at) ? 1u : 0u) << n;
    }
    return kept;
  }

  TENET_GPU S along_key(int a, const S* k) const {
    S product = 0, square = 0;
    TENET_UNROLL
    for (int n = 0; n < Of::kCount; ++n) {
      const S value = k[Of::first(x_, n / Of::kUnit) + n % Of::kUnit];
      product += value * dk_[a][n];
      square += value * value;
    }
    return Base::along_key(side_sum<M>(product), side_sum<M>(square));
  }

  TENET_GPU void write() const {
    TENET_UNROLL
    for (int a = 0; a < kOwn; ++a) {
      const S* const k = keys_ + (y_ + a) * kStride<S, W>;
      const S along = t_.factors ? along_key(a, k) : S(0);
      if (key(a) >= stop_) continue;
      const int64_t position = sight_.position(key(a));
      const int64_t alone = fallback_query(t_, head_, position);
      const S* const own = Base::dy_.at(alone < 0 ? 0 : alone);
      S* const dk = rows_of(t_, t_.dk, head_).at(position);
      S* const dv = rows_of(t_, t_.dv, head_).at(position);
      TENET_UNROLL
      for (int g = 0; g < Of::kGroups; ++g) {
        Vector<S, Of::kUnit> to_k, to_v;
        TENET_UNROLL
        for (int u = 0; u < Of::kUnit; ++u) {
          const int n = g * Of::kUnit + u, column = Of::first(x_, g) + u;
          to_k.at[u] = dk_[a][n] - k[column] * along;
          to_v.at[u] = dv_[a][n];
          if (alone >= 0 && column < t_.size) to_v.at[u] += own[column];
        }
        store_group<S, W>(t_, dk, x_, g, to_k);
        store_group<S, W>(t_, dv, x_, g, to_v);
      }
    }
  }

  S *keys_, *values_, *queries_, *gradients_, *weights_;
  QueryFacts<S>* facts_;
  int x_, y_;
  S factor_[kOwn];
  Sums<S, W> dk_, dv_;
};

}  // namespace tenet::cuda::attention
