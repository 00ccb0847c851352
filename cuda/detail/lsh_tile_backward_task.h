/// The gradients of LSH attention of 16-bit types.
#pragma once

#include <tenet/cuda/detail/lsh_places_task.h>
#include <tenet/cuda/detail/lsh_tile_task.h>

namespace tenet::cuda::lsh {

/// 64 places of a bucket, 16 for each of 4 warps, against runs of the places around them: first as
/// keys, which gives dk and dv, then as queries, which adds dq to dk. So each gradient is one
/// block's, and rounds follow each other: nothing is added up by two threads. W is the size rounded
/// up.
template <class M, class T, int W>
class TileGradient {
 public:
  static constexpr int kOwn = block_places * kStride<W>, kElements = kTile * kStride<W>;
  TENET_HD static constexpr int64_t bytes() {
    return (2 * kOwn + 4 * kElements) * int64_t{sizeof(T)} + 6 * kTile * 4 + 4 * 4;
  }

  TENET_GPU TileGradient(const Task<T>& t, void* shared)
      : t_(t),
        own_q_(static_cast<T*>(shared)),
        own_other_(own_q_ + kOwn),
        tiles_(own_other_ + kOwn),
        first_(reinterpret_cast<float*>(tiles_ + 4 * kElements)),
        second_(first_ + 2 * kTile),
        tokens_(reinterpret_cast<int*>(second_ + 2 * kTile)) {}

  /// Round t.round of the block that begins at the group's place `number`.
  TENET_GPU void run(int64_t number) {
    block_ = place_block<M>(t_, number, block_places, t_.window, tokens_ + 2 * kTile);
    b_ = block_.head / t_.H, h_ = block_.head % t_.H, group_ = number - number % t_.L;
    order_ = t_.order_of(block_.head);
    const auto window = static_cast<int>(t_.window);
    const auto low = static_cast<int>(greater(block_.begin, block_.first - window));
    const auto high = static_cast<int>(lesser(block_.end, int64_t{block_.last} + window));
    clear(dqk_);
    clear(dv_);
    load_own(own_q_, t_.q);
    load_own(own_other_, t_.v);
    look<true>();
    walk<true>(t_.causal ? block_.first + 1 : low, high);
    write_dv();
    normalize();
    load_own(own_other_, t_.dy);
    look<false>();
    walk<false>(low, t_.causal ? block_.last - 1 : high);
    write_dqk();
  }

 private:
  TENET_GPU int place(int row) const {
    return block_.first + M::thread() / 32 * 16 + M::thread() % 32 / 4 + row * 8;
  }
  TENET_GPU float log_sum(int64_t i) const { return t_.log_sum[block_.head * t_.L + i]; }

  /// What this thread knows of its two rows.
  template <bool as_keys>
  TENET_GPU void look() {
    TENET_UNROLL
    for (int row = 0; row < 2; ++row) {
      position_[row] = place(row) < block_.last ? position_of(order_[place(row)]) : -1;
      if (position_[row] < 0) continue;
      const int64_t i = position_[row];
      first_own_[row] = as_keys ? t_.factor[group_ + i] : log_sum(i) * kLog2E;
      second_own_[row] = as_keys ? 0.0f : t_.delta[group_ + i];
    }
  }

  TENET_GPU void load_own(T* tile, const HeadRows<const T>& from) {
    for (int n = M::thread(); n < block_places * (W / 8); n += M::threads()) {
      const int r = n / (W / 8), place = block_.first + r;
      const T* row = place < block_.last ? from.at(b_, h_, position_of(order_[place])) : nullptr;
      load_part<M>(tile + r * kStride<W>, row, n % (W / 8), t_.size, t_.aligned, t_.q.data);
    }
  }

  TENET_GPU T* tile_of(int buffer, int which) const {
    return tiles_ + (buffer * 2 + which) * kElements;
  }
  /// Starts to load the places from `start` on: as queries of the block's keys q and dy, as keys of
  /// its queries q and v.
  template <bool as_keys>
  TENET_GPU void load(int start, int stop, int buffer) {
    for (int n = M::thread(); start < stop && n < kTile * (W / 8); n += M::threads()) {
      const int r = n / (W / 8), part = n % (W / 8);
      const bool there = start + r < stop;
      const int64_t i = there ? position_of(order_[start + r]) : 0;
      const T* q = there ? t_.q.at(b_, h_, i) : nullptr;
      const T* other = there ? (as_keys ? t_.dy : t_.v).at(b_, h_, i) : nullptr;
      const int to = r * kStride<W>;
      load_part<M>(tile_of(buffer, 0) + to, q, part, t_.size, t_.aligned, t_.q.data);
      load_part<M>(tile_of(buffer, 1) + to, other, part, t_.size, t_.aligned, t_.q.data);
      if (part > 0) continue;
      const int at = buffer * kTile + r;
      tokens_[at] = static_cast<int>(i);
      if (as_keys) {
        first_[at] = there ? log_sum(i) * kLog2E : nothing<float>;
        second_[at] = there ? t_.delta[group_ + i] : 0.0f;
      } else {
        first_[at] = there ? t_.factor[group_ + i] : 0.0f;
      }
    }
    M::commit_copies();
  }

  /// Adds what the places [start, stop) give.
  template <bool as_keys>
  TENET_GPU void walk(int start, int stop) {
    load<as_keys>(start, stop, 0);
    int buffer = 0;
    for (int first = start; first < stop; first += kTile, buffer ^= 1) {
      load<as_keys>(first + kTile, stop, buffer ^ 1);
      M::template wait_for_copies<1>();
      M::barrier();
      step<as_keys>(first, stop, buffer);
      M::barrier();
    }
    M::template wait_for_copies<0>();
    M::barrier();
  }

  /// Whether some row of the warp may see, or be seen by, one of the run's places.
  TENET_GPU bool near(int first, int stop) const {
    const int64_t begin = block_.first + M::thread() / 32 * 16,
                  end = lesser(begin + 16, block_.last);
    return begin < end && first < end + t_.window &&
           lesser(first + kTile, stop) > begin - t_.window;
  }
  TENET_GPU bool sees(int query, int key) const {
    const int distance = query - key;
    return (distance > 0 && distance <= t_.window) ||
           (!t_.causal && distance < 0 && -distance <= t_.window);
  }

  template <bool as_keys>
  TENET_GPU void step(int first, int stop, int buffer) {
    if (!near(first, stop)) return;
    const int own = M::thread() / 32 * 16 * kStride<W>;
    uint32_t bits = 0;
    if (t_.drop > 0) {
      bits = kept_bits<M>(t_, block_.head, position_, tokens_ + buffer * kTile, as_keys);
    }
    Sums16<kTile> p, slope;
    multiply_tiles<M, T, W>(own_q_ + own, tile_of(buffer, 0), p);
    multiply_tiles<M, T, W>(own_other_ + own, tile_of(buffer, 1), slope);
    TENET_UNROLL
    for (int row = 0; row < 2; ++row) {
      visit_row<M, kTile>(row, [&](int n, int e, int column) {
        const bool there = first + column < stop;
        const float kept = t_.drop > 0 ? (bits >> (n * 4 + e) & 1 ? t_.kept : 0.0f) : 1.0f;
        link<as_keys>(row, first + column, there, buffer * kTile + column, kept, p[n][e],
                      slope[n][e]);
      });
    }
    multiply_sums<M, T, W>(slope, tile_of(buffer, 0), dqk_);
    if (as_keys) multiply_sums<M, T, W>(p, tile_of(buffer, 1), dv_);
  }
  /// From q . k and dy . v of a row and the place of number `at` in the run: p, dropped out, and ds
  /// times the key's factor; 0 where the query does not see the key.
  template <bool as_keys>
  TENET_GPU void link(int row, int other, bool there, int at, float kept, float& p,
                      float& slope) const {
    const float factor = as_keys ? first_own_[row] : first_[at];
    const float log_sum = as_keys ? first_[at] : first_own_[row];
    const float delta = as_keys ? second_[at] : second_own_[row];
    const bool seen = there && position_[row] >= 0 && log_sum != nothing<float> &&
                      (as_keys ? sees(other, place(row)) : sees(place(row), other));
    const float weight = M::exp2(p * (factor * kLog2E) - log_sum);
    const float ds = weight * (slope * kept - delta) * factor;
    p = seen ? weight * kept : 0.0f;
    slope = seen ? ds : 0.0f;
  }

  /// dv, and what went straight through where a query sees nothing.
  TENET_GPU void write_dv() {
    TENET_UNROLL
    for (int row = 0; row < 2; ++row) {
      if (position_[row] < 0) continue;
      const int64_t i = position_[row];
      if (t_.opens() && log_sum(i) == nothing<float>) {
        const T* const dy = t_.dy.at(b_, h_, i);
        visit_row<M, W>(row, [&](int n, int e, int column) {
          if (column < t_.size) dv_[n][e] += float(dy[column]);
        });
      }
      write(row, dv_, t_.dv_sums, t_.dv);
    }
  }
  TENET_GPU void write_dqk() {
    TENET_UNROLL
    for (int row = 0; row < 2; ++row) {
      if (position_[row] >= 0) write(row, dqk_, t_.dqk_sums, t_.dqk);
    }
  }
  /// Adds a row to the sums over rounds; the last round writes them.
  TENET_GPU void write(int row, const Sums16<W>& round, const HeadRows<float>& sums,
                       const HeadRows<T>& out) {
    float* const sum = t_.R > 1 ? sums.at(b_, h_, position_[row]) : nullptr;
    T* const to = out.at(b_, h_, position_[row]);
    visit_pairs<M, W>([&](int n, int column) {
      Pair all{round[n][row * 2], round[n][row * 2 + 1]};
      if (!t_.opens()) {
        const Pair before = load_pair(sum, column, t_.size, t_.aligned);
        all.low += before.low, all.high += before.high;
      }
      if (t_.closes()) {
        store_pair<M>(to, column, t_.size, t_.aligned, all);
      } else {
        store_pair<M>(sum, column, t_.size, t_.aligned, all);
      }
    });
  }

  /// dk - k (k . dk) / (K mean)
  TENET_GPU void normalize() {
    const T* const own = own_q_ + M::thread() / 32 * 16 * kStride<W>;
    TENET_UNROLL
    for (int row = 0; row < 2; ++row) {
      const T* const k = own + (M::thread() % 32 / 4 + row * 8) * kStride<W>;
      float along = 0;
      visit_row<M, W>(row, [&](int n, int e, int column) {
        along = multiply_add(float(k[column]), dqk_[n][e], along);
      });
      along = row_sum<M>(along);
      if (position_[row] < 0) continue;
      along /= float(t_.size) * t_.mean[group_ + position_[row]];
      visit_row<M, W>(row, [&](int n, int e, int column) {
        dqk_[n][e] = multiply_add(-along, float(k[column]), dqk_[n][e]);
      });
    }
  }

  const Task<T>& t_;
  T *own_q_, *own_other_, *tiles_;
  float *first_, *second_;  // of a run's queries log2(e) log_sum and delta; of its keys the factor
  int* tokens_;
  PlaceBlock block_;
  int64_t b_ = 0, h_ = 0, group_ = 0;
  const int32_t* order_ = nullptr;
  int position_[2];
  float first_own_[2] = {}, second_own_[2] = {};  // of the rows, as first_ and second_
  Sums16<W> dqk_, dv_;
};

template <class M, class T, int W>
TENET_GPU void tile_backward(const Task<T>& t, void* shared) {
  for (int64_t n = M::block(); n < *t.count; n += t.grid) {
    TileGradient<M, T, W>(t, shared).run(t.first[n]);
  }
}

}  // namespace tenet::cuda::lsh
