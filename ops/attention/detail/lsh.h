/// What the forward and backward kernels of LSH attention share.
#pragma once

#include <omp.h>

#include <tenet/core/memory.h>
#include <tenet/core/parallel.h>
#include <tenet/ops/attention/detail/lsh_kernel.h>
#include <tenet/ops/attention/detail/shared_sums.h>

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

/// What the rounds need to know of positions as keys, found once.
template <class T>
struct KeyFacts {
  Compute<T>* mean = nullptr;    // mean_square()
  Compute<T>* factor = nullptr;  // key_factor()
  uint8_t* finite = nullptr;     // whether the value is
};

/// Memory for the KeyFacts of all heads.
template <class T>
class KeyFactsSpace {
 public:
  explicit KeyFactsSpace(const LshShape& shape)
      : L_(shape.L), numbers_(2 * shape.B * shape.H * L_), finite_(shape.B * shape.H * L_) {}
  KeyFacts<T> of_head(int64_t head) const {
    Compute<T>* const mean = numbers_.data() + 2 * head * L_;
    return {mean, mean + L_, finite_.data() + head * L_};
  }

 private:
  int64_t L_;
  memory::Workspace<Compute<T>> numbers_;
  memory::Workspace<uint8_t> finite_;
};

/// Copies of a head's rows that a thread which walks the whole head keeps, all rows of a position
/// side by side: those of one head lie far apart in a [B, L, H, d] tensor, and only every H-th set
/// of the cache would hold them. Only where all inputs and outputs are small enough for the cache.
template <class T>
class HeadCopies {
  using S = Compute<T>;

 public:
  HeadCopies(Carver& carver, const LshShape& shape, int inputs, int outputs)
      : width_(round_up(shape.size, kWidthUnit<T>)),
        inputs_(inputs * width_ * static_cast<int64_t>(sizeof(T))),
        pitch_(inputs_ + outputs * width_ * static_cast<int64_t>(sizeof(S))) {
    usable_ = shape.L * pitch_ <= kHeadCopyBytes;
    if (usable_) base_ = carver.take<std::byte>(shape.L * pitch_);
  }
  bool usable() const { return usable_; }
  Rows<T> input(int64_t array) const { return rows<T>(array * width_); }
  Rows<S> output(int64_t array) const {
    return rows<S>(inputs_ / static_cast<int64_t>(sizeof(S)) + array * width_);
  }

 private:
  template <class U>
  Rows<U> rows(int64_t first) const {
    return {reinterpret_cast<U*>(base_) + first, pitch_ / static_cast<int64_t>(sizeof(U))};
  }

  int64_t width_, inputs_, pitch_;  // elements; bytes; bytes
  std::byte* base_ = nullptr;
  bool usable_ = false;
};

/// The keys of one head: where their rows lie and what is known of them.
template <class T>
struct HeadKeys {
  Rows<const T> q, v;  // what the rounds read
  KeyFacts<T> facts;

  /// With `copies`, their inputs 0 and 1 are read once prepare() has filled them.
  void open(const LshShape& shape, const LshInputs<T>& in, const KeyFacts<T>& of_head, int64_t head,
            const HeadCopies<T>* copies) {
    from_q_ = q = head_rows(in.q, head / shape.H, head % shape.H);
    from_v_ = v = head_rows(in.v, head / shape.H, head % shape.H);
    facts = of_head;
    copied_ = copies != nullptr;
    if (!copied_) return;
    to_q_ = copies->input(0), to_v_ = copies->input(1);
    q = {to_q_.data, to_q_.stride}, v = {to_v_.data, to_v_.stride};
  }
  /// Finds the facts of position i; `row` is scratch, of the strip's width.
  void prepare(const LshShape& shape, int64_t i, T* row) {
    if (i + kPrefetchRows < shape.L) {
      prefetch_row(from_q_[i + kPrefetchRows], shape.size);
      prefetch_row(from_v_[i + kPrefetchRows], shape.size);
    }
    const int64_t width = round_up(shape.size, kWidthUnit<T>);
    T* const k = copied_ ? to_q_[i] : row;
    copy_row(k, from_q_[i], shape.size, width);
    facts.mean[i] = mean_square(k, shape.size, width);
    facts.factor[i] = key_factor(facts.mean[i], shape.key_scale);
    facts.finite[i] = pack_row(copied_ ? to_v_[i] : row, from_v_[i], shape.size, width);
  }

 private:
  Rows<const T> from_q_, from_v_;
  Rows<T> to_q_, to_v_;
  bool copied_ = false;
};

/// Copies the block's keys.
template <class T>
inline void pack_block(const LshShape& shape, const HeadKeys<T>& keys, const int32_t* order,
                       const BucketBlock& block, Strip<T>& strip) {
  begin_keys(strip);
  for (int64_t place = block.low; place < block.high; ++place) {
    const int64_t position = position_of(order[place]), ahead = place + kPrefetchRows;
    if (ahead < shape.L && order[ahead] != kOrderEnd) {
      prefetch_row(keys.q[position_of(order[ahead])], shape.size);
      prefetch_row(keys.v[position_of(order[ahead])], shape.size);
    }
    append_key(strip, keys.q[position], keys.v[position], position, keys.facts.factor[position],
               keys.facts.finite[position] != 0);
  }
  finish_keys(strip);
}

template <class T>
inline void set_dropout(const LshShape& shape, const LshInputs<T>& in, int64_t head, int64_t r,
                        const int32_t* token, int64_t count, PanelDropout<T>& dropout) {
  dropout.dropout = in.dropout;
  if (!dropout.on()) return;
  std::fill_n(dropout.base, kPanel<T>, uint64_t{0});
  for (int64_t lane = 0; lane < count; ++lane) {
    dropout.base[lane] = static_cast<uint64_t>(
        (((shape.first_head + head) * shape.R + r) * shape.L + token[lane]) * shape.L);
  }
}

/// Walks every head, one round after the other: rounds.open(head, whole), prepare(first, last) on
/// the positions, round(r, from, to) on the places of each round, finish(first, last). Heads that
/// divide evenly among `threads` run whole on one thread each; the others are cut. To be called by
/// every thread of a parallel region.
template <class Rounds>
void walk_heads(const LshShape& shape, int threads, Rounds& rounds) {
  const int64_t heads = shape.B * shape.H, whole = heads - heads % threads;
#pragma omp for schedule(dynamic) nowait
  for (int64_t head = 0; head < whole; ++head) {
    rounds.open(head, true);
    rounds.prepare(0, shape.L);
    for (int64_t r = 0; r < shape.R; ++r) rounds.round(r, 0, shape.L);
    rounds.finish(0, shape.L);
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
#pragma omp for schedule(static)
    for (int64_t slice = 0; slice < slices; ++slice) rounds.finish(cut(slice), cut(slice + 1));
  }
}

}  // namespace tenet::detail::tiles
