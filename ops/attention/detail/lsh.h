/// What the forward and backward kernels of LSH attention share.
#pragma once

#include <omp.h>

#include <tenet/core/parallel.h>
#include <tenet/ops/attention/detail/lsh_kernel.h>

#include <algorithm>

namespace tenet::detail::tiles {

inline constexpr int64_t kBlockPanels = 2;  // panels that share a packed strip

/// Up to kBlockPanels panels of queries of one bucket, [first, last), and the keys around them,
/// [low, high): places in the order. Blocks start at the bucket's first member and their keys at a
/// run of it, so that later positions change no earlier block's keys and sums of tiles.
struct BucketBlock {
  int64_t bucket_begin, bucket_end, first, last, low, high;
};

/// The most keys of a block.
template <class T>
int64_t block_keys(const LshShape& shape) {
  const int64_t window = std::min(shape.window, shape.L);
  const int64_t most = kBlockPanels * kPanel<T> + window * (shape.causal ? 1 : 2);
  return std::min(most + kBucketRun, shape.L);
}

/// Calls visit(block) for the blocks of every bucket that begins at a place in [from, to) of a
/// round's order.
template <class T, class Visit>
void visit_blocks(const LshShape& shape, const int32_t* order, int64_t from, int64_t to,
                  Visit&& visit) {
  const int64_t window = std::min(shape.window, shape.L);
  int64_t begin = from;
  while (begin < to && order[begin] >= 0) ++begin;
  while (begin < to && order[begin] != kOrderEnd) {
    int64_t end = begin + 1;
    while (end < shape.L && order[end] >= 0) ++end;
    for (int64_t first = begin; first < end; first += kBlockPanels * kPanel<T>) {
      const int64_t last = std::min(first + kBlockPanels * kPanel<T>, end);
      const int64_t hidden = std::max<int64_t>(first - window - begin, 0);
      visit(BucketBlock{begin, end, first, last, begin + hidden / kBucketRun * kBucketRun,
                        shape.causal ? last : std::min(end, last + window)});
    }
    begin = end;
  }
}

/// Which keys of the block's strip the panel of queries that starts at place `first` sees.
template <class T>
inline void look(const LshShape& shape, const BucketBlock& block, int64_t first,
                 Visibility<T>& see) {
  const int64_t window = std::min(shape.window, shape.L);
  see.count = std::min<int64_t>(kPanel<T>, block.last - first);
  for (int64_t lane = 0; lane < see.count; ++lane) {
    const int64_t place = first + lane;
    const int64_t begin = std::max(block.bucket_begin, place - window) - block.low;
    if (shape.causal) {
      see.set(lane, begin, place - block.low, -1);
    } else {
      const int64_t end = std::min(block.bucket_end, place + window + 1) - block.low;
      see.set(lane, begin, end - begin > 1 ? end : begin, place - block.low);
    }
  }
}

/// Copies the block's keys.
template <class T>
inline void pack_block(const LshShape& shape, const Rows<const T>& q, const Rows<const T>& v,
                       const int32_t* order, const BucketBlock& block, Strip<T>& strip) {
  begin_keys(strip);
  for (int64_t place = block.low; place < block.high; ++place) {
    const int64_t position = position_of(order[place]), ahead = place + kPrefetchRows;
    if (ahead < shape.L && order[ahead] != kOrderEnd) {
      prefetch_row(q[position_of(order[ahead])], shape.size);
      prefetch_row(v[position_of(order[ahead])], shape.size);
    }
    append_key(strip, q[position], v[position], position, shape.key_scale);
  }
  finish_keys(strip);
}

/// Copies of a head's rows that a thread which walks the whole head keeps: rows of one head lie far
/// apart in a [B, L, H, d] tensor, and only every H-th set of the cache would hold them. Only where
/// all inputs and outputs fit the cache.
template <class T>
class HeadCopies {
  using S = Compute<T>;

 public:
  HeadCopies(Carver& carver, const LshShape& shape, int inputs, int outputs)
      : L_(shape.L), size_(shape.size), width_(round_up(shape.size, kWidthUnit<T>)) {
    constexpr int64_t most = 8 << 20;
    const auto bytes = static_cast<int64_t>(inputs * sizeof(T) + outputs * sizeof(S));
    if (L_ * width_ * bytes > most) return;
    inputs_ = carver.take<T>(inputs * L_ * width_);
    outputs_ = carver.take<S>(outputs * L_ * width_);
    usable_ = true;
  }
  bool usable() const { return usable_; }
  Rows<const T> input(int array, const Rows<const T>& from) const {
    T* const rows = inputs_ + array * L_ * width_;
    pack_rows(rows, from, 0, L_, size_, width_);
    return {rows, width_};
  }
  Rows<S> output(int array) const { return {outputs_ + array * L_ * width_, width_}; }
  void write_back(int array, const Rows<S>& to) const {
    for (int64_t i = 0; i < L_; ++i) std::copy_n(output(array)[i], size_, to[i]);
  }

 private:
  int64_t L_, size_, width_;
  T* inputs_ = nullptr;
  S* outputs_ = nullptr;
  bool usable_ = false;
};

/// y = (y * shrink if `kept`, else 0) + step, times share.
template <class T>
inline void update_row(T* y, const T* step, int64_t size, bool kept, T shrink, T share) {
  int64_t n = 0;
  const Vector<T> factor = splat(shrink), last = splat(share);
  for (; n + kLanes<T> <= size; n += kLanes<T>) {
    Vector<T> value = load(step + n);
    if (kept) value = fma(load(y + n), factor, value);
    store(y + n, fma(value, last, Vector<T>{}));  // + 0: no -0
  }
  for (; n < size; ++n) y[n] = ((kept ? y[n] * shrink : T(0)) + step[n]) * share + T(0);
}

template <class T>
inline void set_dropout(const LshShape& shape, const LshInputs<T>& in, int64_t head, int64_t r,
                        const int32_t* token, int64_t count, PanelDropout<T>& dropout) {
  dropout.dropout = in.dropout;
  if (!dropout.on()) return;
  std::fill_n(dropout.base, kPanel<T>, uint64_t{0});
  for (int64_t lane = 0; lane < count; ++lane) {
    dropout.base[lane] =
        static_cast<uint64_t>(((head * shape.R + r) * shape.L + token[lane]) * shape.L);
  }
}

/// Walks every head, one round after the other: rounds.open(head, whole), prepare(first, last) on
/// the positions, round(r, from, to) on the places of each round, close(). Heads that divide evenly
/// among the threads run whole on one thread each; the others are cut. To be called by every thread
/// of a parallel region.
template <class Rounds>
void walk_heads(const LshShape& shape, Rounds& rounds) {
  const int64_t threads = omp_get_num_threads(), heads = shape.B * shape.H;
  const int64_t whole = heads - heads % threads;
#pragma omp for schedule(dynamic) nowait
  for (int64_t head = 0; head < whole; ++head) {
    rounds.open(head, true);
    rounds.prepare(0, shape.L);
    for (int64_t r = 0; r < shape.R; ++r) rounds.round(r, 0, shape.L);
    rounds.close();
  }
  const int64_t slices = std::min<int64_t>(8 * threads, shape.L);
  const auto cut = [&](int64_t slice) { return shape.L * slice / slices; };
  for (int64_t head = whole; head < heads; ++head) {
    rounds.open(head, false);
#pragma omp for schedule(static)
    for (int64_t slice = 0; slice < slices; ++slice) rounds.prepare(cut(slice), cut(slice + 1));
    for (int64_t r = 0; r < shape.R; ++r) {
#pragma omp for schedule(dynamic)
      for (int64_t slice = 0; slice < slices; ++slice) rounds.round(r, cut(slice), cut(slice + 1));
    }
    rounds.close();
  }
}

}  // namespace tenet::detail::tiles
