/// The gradients of LSH attention of f32 and f64.
#pragma once

#include <tenet/cuda/detail/lsh_plain_task.h>

namespace tenet::cuda::lsh {

/// 64 places of a bucket against runs of the places around them: first as keys, which gives dk and
/// dv, then as queries, which adds dq to dk. W is the size rounded up.
template <class M, class S, int W>
class PlainGradient {
 public:
  static constexpr int kOwn = block_places * kPlainStride<S, W>;
  static constexpr int kElements = kTile * kPlainStride<S, W>;
  TENET_HD static constexpr int64_t bytes() {
    return (2 * kOwn + 2 * kElements + 2 * plain_weights + 2 * kTile) * int64_t{sizeof(S)} +
           kTile * 4 + 4 * 4;
  }

  TENET_GPU PlainGradient(const Task<S>& t, void* shared)
      : t_(t),
        own_q_(static_cast<S*>(shared)),
        own_other_(own_q_ + kOwn),
        q_(own_other_ + kOwn),
        other_(q_ + kElements),
        slopes_(other_ + kElements),
        weights_(slopes_ + plain_weights),
        first_(weights_ + plain_weights),
        second_(first_ + kTile),
        tokens_(reinterpret_cast<int*>(second_ + kTile)) {}

  /// Round t.round of the block that begins at the group's place `number`.
  TENET_GPU void run(int64_t number) {
    block_ = place_block<M>(t_, number, block_places, t_.window, tokens_ + kTile);
    b_ = block_.head / t_.H, h_ = block_.head % t_.H, group_ = number - number % t_.L;
    order_ = t_.order_of(block_.head);
    const auto low = static_cast<int>(greater(block_.begin, block_.first - t_.window));
    const auto high = static_cast<int>(lesser(block_.end, block_.last + t_.window));
    TENET_UNROLL
    for (int i = 0; i < 4; ++i) {
      TENET_UNROLL
      for (int m = 0; m < W / 8; ++m) dqk_[i][m] = dv_[i][m] = 0;
    }
    load_own(own_q_, t_.q);
    load_own(own_other_, t_.v);
    walk<true>(t_.causal ? block_.first + 1 : low, high);
    write_dv();
    normalize();
    load_own(own_other_, t_.dy);
    walk<false>(low, t_.causal ? block_.last - 1 : high);
    write_dqk();
    M::barrier();
  }

 private:
  TENET_GPU int place(int row) const { return block_.first + M::thread() / 8 * 4 + row; }
  TENET_GPU int64_t position(int row) const {
    return place(row) < block_.last ? position_of(order_[place(row)]) : -1;
  }

  TENET_GPU void load_own(S* tile, const HeadRows<const S>& from) {
    load_plain<M, W>(tile, block_places, t_.size, t_.aligned, t_.q.data, [&](int r) {
      const int at = block_.first + r;
      return at < block_.last ? from.at(b_, h_, position_of(order_[at])) : nullptr;
    });
  }
  /// The places from `start` on: as queries of the block's keys q and dy, as keys of its queries q
  /// and v.
  template <bool as_keys>
  TENET_GPU void load(int start, int stop) {
    const auto row = [&](const HeadRows<const S>& of, int r) {
      return start + r < stop ? of.at(b_, h_, position_of(order_[start + r])) : nullptr;
    };
    load_plain<M, W>(q_, kTile, t_.size, t_.aligned, t_.q.data,
                     [&](int r) { return row(t_.q, r); });
    load_plain<M, W>(other_, kTile, t_.size, t_.aligned, t_.q.data,
                     [&](int r) { return row(as_keys ? t_.dy : t_.v, r); });
    M::commit_copies();
    if (M::thread() < kTile) {
      const int r = M::thread();
      const bool there = start + r < stop;
      const int64_t at = there ? position_of(order_[start + r]) : 0;
      tokens_[r] = static_cast<int>(at);
      first_[r] = as_keys ? t_.log_sum[block_.head * t_.L + at] : t_.factor[group_ + at];
      if (as_keys) second_[r] = t_.delta[group_ + at];
    }
    M::template wait_for_copies<0>();
  }

  /// Adds what the places [start, stop) give.
  template <bool as_keys>
  TENET_GPU void walk(int start, int stop) {
    for (; start < stop; start += kTile) {
      load<as_keys>(start, stop);
      M::barrier();
      step<as_keys>(start, stop);
      M::barrier();
    }
    M::commit_copies();
    M::template wait_for_copies<0>();
    M::barrier();
  }

  template <bool as_keys>
  TENET_GPU void step(int start, int stop) {
    S p[4][4], slope[4][4];
    plain_dots<M, W>(own_q_, q_, p);
    plain_dots<M, W>(own_other_, other_, slope);
    const uint32_t kept = t_.drop > 0 ? kept_links<as_keys>() : 0;
    TENET_UNROLL
    for (int i = 0; i < 4; ++i) {
      const int64_t at = position(i);
      const S own_log_sum = at < 0 ? nothing<S> : t_.log_sum[block_.head * t_.L + at];
      const S own_factor = at < 0 ? S(0) : t_.factor[group_ + at];
      const S own_delta = at < 0 ? S(0) : t_.delta[group_ + at];
      TENET_UNROLL
      for (int j = 0; j < 4; ++j) {
        const int r = M::thread() % 8 + 8 * j;
        const S factor = as_keys ? own_factor : first_[r];
        const S log_sum = as_keys ? first_[r] : own_log_sum;
        const S delta = as_keys ? second_[r] : own_delta;
        const bool seen = at >= 0 && start + r < stop && log_sum != nothing<S> &&
                          (as_keys ? t_.sees(start + r, place(i)) : t_.sees(place(i), start + r));
        const S share = t_.drop > 0 ? (kept >> (i * 4 + j) & 1 ? t_.kept : S(0)) : S(1);
        const S weight = math::exp(times(p[i][j], factor) - log_sum);
        const S ds = weight * (slope[i][j] * share - delta) * factor;
        p[i][j] = seen ? weight * share : S(0);
        slope[i][j] = seen ? ds : S(0);
      }
    }
    M::warp_barrier();
    share_weights<M>(slope, slopes_);
    if (as_keys) share_weights<M>(p, weights_);
    M::warp_barrier();
    const auto none = [](int, int) { return false; };
    add_weighted<M, W>(slopes_, q_, dqk_, none);
    if (as_keys) add_weighted<M, W>(weights_, other_, dv_, none);
  }
  template <bool as_keys>
  TENET_GPU uint32_t kept_links() const {
    uint32_t kept = 0;
    TENET_ROLL
    for (int bit = 0; bit < 16; ++bit) {
      const int64_t own = position(bit / 4), other = tokens_[M::thread() % 8 + bit % 4 * 8];
      if (own < 0) continue;
      const bool keeps =
          as_keys ? t_.keeps(block_.head, other, own) : t_.keeps(block_.head, own, other);
      kept |= keeps ? 1u << bit : 0u;
    }
    return kept;
  }

  TENET_GPU void write_dv() {
    TENET_UNROLL
    for (int i = 0; i < 4; ++i) {
      const int64_t at = position(i);
      if (at < 0) continue;
      const bool through = t_.opens() && t_.log_sum[block_.head * t_.L + at] == nothing<S>;
      const S* const dy = t_.dy.at(b_, h_, at);
      S* const to = t_.dv.at(b_, h_, at);
      visit_columns<M, S, W>([&](int m, int column) {
        if (column >= t_.size) return;
        to[column] = dv_[i][m] + (t_.opens() ? (through ? dy[column] : S(0)) : to[column]);
      });
    }
  }
  TENET_GPU void write_dqk() {
    TENET_UNROLL
    for (int i = 0; i < 4; ++i) {
      const int64_t at = position(i);
      if (at < 0) continue;
      S* const to = t_.dqk.at(b_, h_, at);
      visit_columns<M, S, W>([&](int m, int column) {
        if (column < t_.size) to[column] = dqk_[i][m] + (t_.opens() ? S(0) : to[column]);
      });
    }
  }

  /// dk - k (k . dk) / (K mean)
  TENET_GPU void normalize() {
    TENET_UNROLL
    for (int i = 0; i < 4; ++i) {
      const S* const k = own_q_ + (M::thread() / 8 * 4 + i) * kPlainStride<S, W>;
      S along = 0;
      visit_columns<M, S, W>(
          [&](int m, int column) { along = multiply_add(k[column], dqk_[i][m], along); });
      along = eight_sum<M>(along);
      const int64_t at = position(i);
      if (at < 0) continue;
      along /= S(t_.size) * t_.mean[group_ + at];
      visit_columns<M, S, W>(
          [&](int m, int column) { dqk_[i][m] = multiply_add(-along, k[column], dqk_[i][m]); });
    }
  }

  const Task<S>& t_;
  S *own_q_, *own_other_, *q_, *other_, *slopes_, *weights_;
  S *first_, *second_;  // of a run's queries log_sum and delta; of its keys the factor
  int* tokens_;
  PlaceBlock block_;
  int64_t b_ = 0, h_ = 0, group_ = 0;
  const int32_t* order_ = nullptr;
  PlainSums<S, W> dqk_, dv_;
};

template <class M, class S, int W>
TENET_GPU void plain_backward(const Task<S>& t, void* shared) {
  for (int64_t n = M::block(); n < *t.count; n += t.grid) {
    PlainGradient<M, S, W>(t, shared).run(t.first[n]);
  }
}

}  // namespace tenet::cuda::lsh
