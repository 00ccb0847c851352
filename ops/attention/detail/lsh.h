/// What the forward and backward kernels of LSH attention share.
#pragma once

#include <tenet/core/parallel.h>
#include <tenet/ops/attention/detail/lsh_kernel.h>

namespace tenet::detail::tiles {

inline constexpr int64_t kBlockPanels = 2;  // panels that share a packed strip

/// Up to kBlockPanels panels of queries of one bucket, [first, last), and the keys around them, [low, high): places in
/// the order. Blocks start at the bucket's first member, so that later positions change no earlier block's keys.
struct BucketBlock {
  int64_t bucket_begin, bucket_end, first, last, low, high;
};

/// The most keys of a block.
template <class T>
int64_t block_keys(const LshShape& shape) {
  const int64_t window = std::min(shape.window, shape.L);
  const int64_t most = kBlockPanels * kPanel<T> + window * (shape.causal ? 1 : 2);
  return std::min(most, shape.L);
}

/// Calls visit(block) for the blocks of every bucket that begins at a place in [from, to) of a round's order.
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
      visit(BucketBlock{begin, end, first, last, std::max(begin, first - window),
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
inline void pack_block(const LshShape& shape, const LshInputs<T>& in, int64_t head,
                       const int32_t* order, const BucketBlock& block, Strip<T>& strip) {
  constexpr int64_t ahead = 12;
  const T* q = in.q.at(head / shape.H, head % shape.H);
  const T* v = in.v.at(head / shape.H, head % shape.H);
  begin_keys(strip);
  for (int64_t place = block.low; place < block.high; ++place) {
    const int64_t position = position_of(order[place]);
    if (place + ahead < shape.L && order[place + ahead] != kOrderEnd) {
      const int64_t next = position_of(order[place + ahead]);
      for (int64_t n = 0; n < shape.size; n += 64 / static_cast<int64_t>(sizeof(T))) {
        __builtin_prefetch(q + next * in.q.row + n);
        __builtin_prefetch(v + next * in.v.row + n);
      }
    }
    append_key(strip, q + position * in.q.row, v + position * in.v.row, position, true,
               shape.key_scale);
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
    dropout.base[lane] =
        static_cast<uint64_t>(((head * shape.R + r) * shape.L + token[lane]) * shape.L);
  }
}

/// Calls prepare(head, first, last) on the positions and then round(head, r, from, to) on the places of each round, one
/// round of a head after the other. Heads that divide evenly among the threads run whole on one thread each, which keeps
/// them in its cache; the rest are cut. To be called by every thread of a parallel region.
template <class Prepare, class Round>
void walk_heads(const LshShape& shape, Prepare&& prepare, Round&& round) {
  const int64_t threads = omp_get_num_threads(), heads = shape.B * shape.H;
  const int64_t whole = heads - heads % threads;
#pragma omp for schedule(dynamic) nowait
  for (int64_t head = 0; head < whole; ++head) {
    prepare(head, int64_t{0}, shape.L);
    for (int64_t r = 0; r < shape.R; ++r) round(head, r, int64_t{0}, shape.L);
  }
  const int64_t slices = std::min<int64_t>(8 * threads, shape.L);
  const auto cut = [&](int64_t slice) { return shape.L * slice / slices; };
  for (int64_t head = whole; head < heads; ++head) {
#pragma omp for schedule(static)
    for (int64_t slice = 0; slice < slices; ++slice) prepare(head, cut(slice), cut(slice + 1));
    for (int64_t r = 0; r < shape.R; ++r) {
#pragma omp for schedule(dynamic)
      for (int64_t slice = 0; slice < slices; ++slice) {
        round(head, r, cut(slice), cut(slice + 1));
      }
    }
  }
}

}  // namespace tenet::detail::tiles
