/// The forward pass of LSH attention of f32 and f64.
#pragma once

#include <tenet/cuda/detail/lsh_plain_task.h>

namespace tenet::cuda::lsh {

/// A block of 64 queries of a bucket against runs of keys. W is the size rounded up.
template <class M, class S, int W>
class PlainForward {
 public:
  static constexpr int kOwn = block_places * kPlainStride<S, W>;
  static constexpr int kElements = kTile * kPlainStride<S, W>;
  TENET_HD static constexpr int64_t bytes() {
    return (kOwn + 2 * kElements + plain_weights + kTile) * int64_t{sizeof(S)} + 2 * kTile * 4 +
           4 * 4;
  }

  TENET_GPU PlainForward(const Task<S>& t, void* shared)
      : t_(t),
        queries_(static_cast<S*>(shared)),
        keys_(queries_ + kOwn),
        values_(keys_ + kElements),
        weights_(values_ + kElements),
        factors_(weights_ + plain_weights),
        tokens_(reinterpret_cast<int*>(factors_ + kTile)),
        faulty_(tokens_ + kTile) {}

  /// Round t.round of the block that begins at the group's place `number`.
  TENET_GPU void run(int64_t number) {
    block_ = place_block<M>(t_, number, block_places, t_.causal ? 0 : t_.window, faulty_ + kTile);
    b_ = block_.head / t_.H, h_ = block_.head % t_.H, group_ = number - number % t_.L;
    order_ = t_.order_of(block_.head);
    open();
    load_plain<M, W>(queries_, block_places, t_.size, t_.aligned, t_.q.data, [&](int r) {
      const int place = block_.first + r;
      return place < block_.last ? t_.q.at(b_, h_, position_of(order_[place])) : nullptr;
    });
    const int64_t high =
        t_.causal ? block_.last - 1 : lesser(block_.end, int64_t{block_.last} + t_.window);
    for (int64_t start = t_.first_run(block_.first, block_.begin); start < high; start += kTile) {
      load(static_cast<int>(start), static_cast<int>(high));
      M::barrier();
      step(static_cast<int>(start));
      M::barrier();
    }
    M::commit_copies();
    M::template wait_for_copies<0>();
    M::barrier();
    close();
  }

 private:
  TENET_GPU int place(int row) const { return block_.first + M::thread() / 8 * 4 + row; }
  TENET_GPU int64_t position(int row) const {
    return place(row) < block_.last ? position_of(order_[place(row)]) : -1;
  }
  TENET_GPU bool sees(int row, int key) const {
    return place(row) < block_.last && key >= block_.begin && key < block_.end &&
           t_.sees(place(row), key);
  }

  /// The state of this thread's rows after the rounds so far.
  TENET_GPU void open() {
    TENET_UNROLL
    for (int i = 0; i < 4; ++i) {
      const int64_t at = t_.opens() ? -1 : position(i);
      top_[i] = at < 0 ? nothing<S> : t_.log_sum[block_.head * t_.L + at];
      sum_[i] = at < 0 ? S(0) : t_.sum[group_ + at];
      const S* const sums = at < 0 ? nullptr : t_.y_sums.at(b_, h_, at);
      visit_columns<M, S, W>([&](int m, int column) {
        total_[i][m] = sums != nullptr && column < t_.size ? sums[column] : S(0);
      });
    }
  }

  TENET_GPU void load(int start, int stop) {
    const auto row = [&](const HeadRows<const S>& of, int r) {
      return start + r < stop ? of.at(b_, h_, position_of(order_[start + r])) : nullptr;
    };
    load_plain<M, W>(keys_, kTile, t_.size, t_.aligned, t_.q.data,
                     [&](int r) { return row(t_.q, r); });
    load_plain<M, W>(values_, kTile, t_.size, t_.aligned, t_.q.data,
                     [&](int r) { return row(t_.v, r); });
    M::commit_copies();
    if (M::thread() < kTile) {
      const int r = M::thread();
      const bool there = start + r < stop;
      const int64_t at = there ? position_of(order_[start + r]) : 0;
      factors_[r] = there ? t_.factor[group_ + at] : S(0);
      tokens_[r] = static_cast<int>(at);
      faulty_[r] = there && t_.finite[group_ + at] == 0;
    }
    M::template wait_for_copies<0>();
  }

  TENET_GPU void step(int start) {
    S s[4][4];
    plain_dots<M, W>(queries_, keys_, s);
    const int own = M::thread() % 8;
    TENET_UNROLL
    for (int i = 0; i < 4; ++i) {
      S largest = nothing<S>;
      TENET_UNROLL
      for (int j = 0; j < 4; ++j) {
        const int r = own + 8 * j;
        s[i][j] = sees(i, start + r) ? times(s[i][j], factors_[r]) : nothing<S>;
        largest = s[i][j] > largest ? s[i][j] : largest;
      }
      largest = eight_top<M>(largest);
      const S top = largest > top_[i] ? largest : top_[i];
      const S base = top == nothing<S> ? S(0) : top;
      const S shrink = math::exp(top_[i] - base);
      TENET_UNROLL
      for (int j = 0; j < 4; ++j) {
        s[i][j] = sees(i, start + own + 8 * j) ? math::exp(s[i][j] - base) : S(0);
      }
      const S sum = eight_sum<M>((s[i][0] + s[i][2]) + (s[i][1] + s[i][3]));
      sum_[i] = multiply_add(sum_[i], shrink, sum);
      top_[i] = top;
      TENET_UNROLL
      for (int m = 0; m < W / 8; ++m) total_[i][m] = times(total_[i][m], shrink);
    }
    if (t_.drop > 0) drop(s, start);
    M::warp_barrier();
    share_weights<M>(s, weights_);
    M::warp_barrier();
    add_weighted<M, W>(weights_, values_, total_,
                       [&](int i, int r) { return faulty_[r] != 0 && !sees(i, start + r); });
  }
  TENET_GPU void drop(S (&s)[4][4], int start) const {
    uint32_t kept = 0;
    TENET_ROLL
    for (int bit = 0; bit < 16; ++bit) {
      const int i = bit / 4, r = M::thread() % 8 + bit % 4 * 8;
      if (sees(i, start + r) && t_.keeps(block_.head, position(i), tokens_[r])) kept |= 1u << bit;
    }
    TENET_UNROLL
    for (int bit = 0; bit < 16; ++bit) s[bit / 4][bit % 4] *= kept >> bit & 1 ? t_.kept : S(0);
  }

  TENET_GPU void close() {
    TENET_UNROLL
    for (int i = 0; i < 4; ++i) {
      const int64_t at = position(i);
      if (at < 0) continue;
      if (M::thread() % 8 == 0) {
        t_.log_sum[block_.head * t_.L + at] = t_.closes() ? top_[i] + math::log(sum_[i]) : top_[i];
        t_.sum[group_ + at] = sum_[i];
      }
      const S* const own = t_.v.at(b_, h_, at);
      S* const to = t_.closes() ? t_.out.at(b_, h_, at) : t_.y_sums.at(b_, h_, at);
      const S inverse = S(1) / sum_[i];
      visit_columns<M, S, W>([&](int m, int column) {
        if (column >= t_.size) return;
        const S y = sum_[i] == 0 ? own[column] : times(total_[i][m], inverse);
        to[column] = t_.closes() ? y : total_[i][m];
      });
    }
  }

  const Task<S>& t_;
  S *queries_, *keys_, *values_, *weights_, *factors_;
  int *tokens_, *faulty_;
  PlaceBlock block_;
  int64_t b_ = 0, h_ = 0, group_ = 0;
  const int32_t* order_ = nullptr;
  S top_[4], sum_[4];
  PlainSums<S, W> total_;
};

template <class M, class S, int W>
TENET_GPU void plain_forward(const Task<S>& t, void* shared) {
  for (int64_t n = M::block(); n < *t.count; n += t.grid) {
    PlainForward<M, S, W>(t, shared).run(t.first[n]);
  }
}

}  // namespace tenet::cuda::lsh
