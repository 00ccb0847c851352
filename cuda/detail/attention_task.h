/// What the kernels of band attention share: their operands, and what is found out beforehand.
#pragma once

#include <tenet/core/dtype.h>
#include <tenet/core/philox.h>
#include <tenet/cuda/detail/warp.h>
#include <tenet/ops/attention/detail/sight.h>
#include <tenet/ops/detail/math.h>

namespace tenet::cuda::attention {

using tenet::detail::tiles::Sight;

/// A (B, H, L, K) operand with contiguous rows; strides in elements.
template <class T>
struct HeadRows {
  T* data = nullptr;
  int64_t batch = 0, head = 0, row = 0;

  TENET_HD T* at(int64_t b, int64_t h, int64_t i) const {
    return data + b * batch + h * head + i * row;
  }
};

/// Operands and plan. A kernel parameter; what a kernel does not use is null.
template <class T>
struct Task {
  using S = Compute<T>;
  int64_t H = 0, Lq = 0, Lk = 0, heads = 0;  // heads: B * H
  int size = 0;                              // K
  bool aligned = false;                      // all rows begin and end at multiples of 16 bytes
  Sight sight;                               // of batch element 0
  S scale = 1;
  const S* factors = nullptr;  // (heads, Lk): what multiplies a key's scores; null: scale
  float drop = 0;
  S kept = 1;  // 1 / (1 - drop)
  PhiloxKey random;
  HeadRows<const T> q, k, v, dy;
  HeadRows<T> y, dq, dk, dv;
  S* log_sum = nullptr;  // (heads, Lq)
  S* delta = nullptr;    // (heads, Lq): dy . y

  TENET_HD Sight sight_of(int64_t b) const {
    Sight of = sight;
    if (of.ranks) of.ranks += b * (2 * Lk + 1);
    return of;
  }
  TENET_HD S factor(int64_t head, int64_t position) const {
    return factors ? factors[head * Lk + position] : scale;
  }
  /// Whether dropout keeps the weight of a query and the key at a position.
  TENET_HD bool keeps(int64_t head, int64_t i, int64_t position) const {
    const auto element = static_cast<uint64_t>((head * Lq + i) * Lk + position);
    return kept_word(philox_block(random, element / 4), element);
  }
  /// The same of an element of a draw, and the block that holds it.
  TENET_HD bool kept_word(const PhiloxBlock& block, uint64_t element) const {
    const uint32_t low = element & 1 ? block.word[1] : block.word[0];
    const uint32_t high = element & 1 ? block.word[3] : block.word[2];
    return uniform_of_word(element & 2 ? high : low) >= drop;
  }
};

/// Which of the things that a kernel handles one by one is a warp's, and how many a block handles.
template <class M>
TENET_GPU int64_t warp_number() {
  return M::block() * (M::threads() / 32) + M::thread() / 32;
}

/// Sight::ranks of batch element block(), whose mask is [Lk]; `shared` has a number for each warp.
template <class M>
TENET_GPU void number_keys(const uint8_t* masks, int64_t Lk, int32_t* all, int32_t* shared) {
  const uint8_t* mask = masks + M::block() * Lk;
  int32_t* const rank = all + M::block() * (2 * Lk + 1);
  const int lane = M::thread() % 32, warp = M::thread() / 32, warps = M::threads() / 32;
  int32_t before = 0;  // visible keys so far
  if (M::thread() == 0) rank[0] = 0;
  for (int64_t start = 0; start < Lk; start += M::threads()) {
    const int64_t j = start + M::thread();
    const int32_t seen = j < Lk && mask[j] != 0;
    int32_t upto = seen;  // of this warp's
    for (int step = 1; step < 32; step *= 2) {
      const int32_t left = M::shuffle(upto, lane < step ? lane : lane - step);
      if (lane >= step) upto += left;
    }
    if (lane == 31) shared[warp] = upto;
    M::barrier();
    int32_t total = 0;
    for (int w = 0; w < warps; ++w) {
      if (w == warp) upto += total;
      total += shared[w];
    }
    if (j < Lk) rank[j + 1] = before + upto;
    if (seen) rank[Lk + before + upto] = static_cast<int32_t>(j);
    before += total;
    M::barrier();
  }
}

/// factors[key] = scale / sqrt(mean(k^2) + 1e-6), a warp for each key.
template <class M, class T>
TENET_GPU void key_factors(const Task<T>& t, Compute<T>* factors) {
  using S = Compute<T>;
  const int64_t key = warp_number<M>();
  if (key >= t.heads * t.Lk) return;
  const int64_t head = key / t.Lk;
  const T* k = t.k.at(head / t.H, head % t.H, key % t.Lk);
  S sum = 0;
  for (int n = M::thread() % 32; n < t.size; n += 32) sum += S(k[n]) * S(k[n]);
  sum =
      warp_sum<M>(sum) / static_cast<S>(t.size) + static_cast<S>(tenet::detail::tiles::kKeyEpsilon);
  if (M::thread() % 32 == 0) factors[key] = t.scale / math::sqrt(sum);
}

/// delta = dy . y, a warp for each query.
template <class M, class T>
TENET_GPU void row_deltas(const Task<T>& t) {
  using S = Compute<T>;
  const int64_t row = warp_number<M>();
  if (row >= t.heads * t.Lq) return;
  const int64_t head = row / t.Lq, b = head / t.H, h = head % t.H;
  const T *y = t.y.at(b, h, row % t.Lq), *dy = t.dy.at(b, h, row % t.Lq);
  S sum = 0;
  for (int n = M::thread() % 32; n < t.size; n += 32) sum += S(y[n]) * S(dy[n]);
  sum = warp_sum<M>(sum);
  if (M::thread() % 32 == 0) t.delta[row] = sum;
}

/// dk = dv = 0 of the hidden keys, a warp for each key.
template <class M, class T>
TENET_GPU void clear_hidden(const Task<T>& t) {
  const int64_t key = warp_number<M>();
  if (key >= t.heads * t.Lk) return;
  const int64_t head = key / t.Lk, b = head / t.H, h = head % t.H;
  if (t.sight_of(b).visible(key % t.Lk)) return;
  T *dk = t.dk.at(b, h, key % t.Lk), *dv = t.dv.at(b, h, key % t.Lk);
  for (int n = M::thread() % 32; n < t.size; n += 32) dk[n] = dv[n] = T(0);
}

/// The queries [first, last) of which some may see keys [start, stop): ranges begin and end later
/// for later queries.
struct QueryRange {
  int64_t first = 0, last = 0;
};
/// The first i with sight.end(i) > key, or with sight.begin(i) >= key.
template <bool by_end>
TENET_GPU int64_t first_query(const Sight& sight, int64_t Lq, int64_t key) {
  int64_t low = 0, high = Lq;
  while (low < high) {
    const int64_t middle = (low + high) / 2;
    if (by_end ? sight.end(middle) > key : sight.begin(middle) >= key) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}
TENET_GPU QueryRange queries_of(const Sight& sight, int64_t Lq, int64_t start, int64_t stop) {
  return {first_query<true>(sight, Lq, start), first_query<false>(sight, Lq, stop)};
}

/// The query of the key at a position whose output is the key's value alone; -1 if there is none.
template <class T>
TENET_GPU int64_t fallback_query(const Task<T>& t, int64_t head, int64_t position) {
  const int64_t i = position - t.sight.offset;
  if (!t.sight.exclude_self || i < 0 || i >= t.Lq) return -1;
  return t.log_sum[head * t.Lq + i] == nothing<Compute<T>> ? i : -1;
}

}  // namespace tenet::cuda::attention
