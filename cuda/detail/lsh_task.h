/// What the kernels of LSH attention share: their operands, and which places see each other.
#pragma once

#include <tenet/core/dtype.h>
#include <tenet/core/philox.h>
#include <tenet/core/view.h>
#include <tenet/cuda/detail/warp.h>
#include <tenet/ops/attention/detail/lsh_order.h>
#include <tenet/ops/detail/math.h>

namespace tenet::cuda::lsh {

using tenet::detail::tiles::kBucketRun;
using tenet::detail::tiles::kOrderEnd;
using tenet::detail::tiles::position_of;

/// A (B, H, L, K) operand with contiguous rows; strides in elements.
template <class T>
struct HeadRows {
  T* data = nullptr;
  int64_t batch = 0, head = 0, row = 0;
  int64_t origin = 0;  // the element at `data`

  TENET_HD T* at(int64_t b, int64_t h, int64_t i) const {
    return data + (b * batch + h * head + i * row - origin);
  }
};
template <class T>
HeadRows<T> head_rows(const View& v) {
  return {v.as<T>(), v.strides[0], v.strides[1], v.strides[2]};
}

/// a * b + c, rounded once.
TENET_HD inline float multiply_add(float a, float b, float c) { return fmaf(a, b, c); }
TENET_HD inline double multiply_add(double a, double b, double c) { return ::fma(a, b, c); }

/// a * b, rounded on its own wherever it is used.
TENET_HD inline float times(float a, float b) {
#if defined(__CUDA_ARCH__)
  return __fmul_rn(a, b);
#else
  return a * b;
#endif
}
TENET_HD inline double times(double a, double b) {
#if defined(__CUDA_ARCH__)
  return __dmul_rn(a, b);
#else
  return a * b;
#endif
}

/// 16 bytes of numbers, aligned.
template <class S>
inline constexpr int kPart = 16 / static_cast<int>(sizeof(S));
template <class S>
struct alignas(16) Part {
  S at[kPart<S>];
};
template <class S>
TENET_GPU const Part<S>& part_at(const S* p) {
  return *reinterpret_cast<const Part<S>*>(p);
}

TENET_HD inline int64_t lesser(int64_t a, int64_t b) { return a < b ? a : b; }
TENET_HD inline int64_t greater(int64_t a, int64_t b) { return a > b ? a : b; }

/// Operands and plan of one round of some heads. A kernel parameter; what a kernel does not use is
/// null. Arrays "of the group" hold these heads alone.
template <class T>
struct Task {
  using S = Compute<T>;
  int64_t H = 0, L = 0, R = 0, window = 0;
  int size = 0;  // K
  bool causal = true;
  bool aligned = false;  // whether rows can be copied 16 bytes at a time
  S scale = 1;
  float drop = 0;
  S kept = 1;  // 1 / (1 - drop)
  PhiloxKey random;
  int64_t first_head = 0, heads = 0, round = 0;

  HeadRows<const T> q, v, y, dy;
  HeadRows<T> out, dqk, dv;               // out is y as it is written
  HeadRows<S> y_sums, dqk_sums, dv_sums;  // over rounds
  const int32_t* order = nullptr;         // (B, H, R, L)
  const uint8_t* mask = nullptr;          // (B, L), or null
  S* log_sum = nullptr;                   // (B, H, L); between rounds the largest score
  S* sum = nullptr;                       // of the group, (heads, L): of exp(score - largest)
  S* delta = nullptr;                     // of the group: dy . y
  S *mean = nullptr, *factor = nullptr;   // of the group: a key's mean square, what multiplies its
                                          // scores
  uint8_t* finite = nullptr;              // of the group: whether a value is
  const int32_t* begin = nullptr;         // of the group: the first place of a place's bucket,
                                          // numbered through the group
  const int32_t *first = nullptr, *count = nullptr;  // the blocks' first places, numbered likewise;
                                                     // how many blocks there are

  int64_t grid = 0;  // blocks of threads, each of which takes every grid-th block of places

  TENET_HD bool opens() const { return round == 0; }
  TENET_HD bool closes() const { return round + 1 == R; }
  /// The head, of all, that number n of the group's places or positions belongs to.
  TENET_HD int64_t head_of(int64_t n) const { return first_head + n / L; }
  /// The first place of the bucket of the group's place n, in its head.
  TENET_HD int64_t begin_of(int64_t n) const { return begin[n] - (n - n % L); }
  TENET_HD const int32_t* order_of(int64_t head) const { return order + (head * R + round) * L; }
  TENET_HD bool used(int64_t head, int64_t i) const { return !mask || mask[head / H * L + i] != 0; }
  /// Whether dropout keeps the weight of the query at position i and the key at position j.
  TENET_HD bool keeps(int64_t head, int64_t i, int64_t j) const {
    const auto element = static_cast<uint64_t>(((head * R + round) * L + i) * L + j);
    return philox_uniform(random, element) >= drop;
  }
  /// What dropout multiplies that weight by.
  TENET_HD S dropped(int64_t head, int64_t i, int64_t j) const {
    return keeps(head, i, j) ? kept : S(0);
  }
  /// Whether the query at a place may see the key at another one of its bucket.
  TENET_HD bool sees(int64_t query, int64_t key) const {
    return key < query ? query - key <= window : !causal && key > query && key - query <= window;
  }
  /// The first key that a query at `place` may see, cut to the start of a run of its bucket.
  TENET_HD int64_t first_run(int64_t place, int64_t bucket_begin) const {
    const int64_t hidden = greater(place - window - bucket_begin, 0);
    return bucket_begin + hidden / kBucketRun * kBucketRun;
  }
};

/// A new position: `seen` is as in LshStep, k and v hold all positions of type T, q and v_own a row
/// a head.
template <class T>
struct StepTask {
  using S = Compute<T>;
  int64_t heads = 0, H = 0, R = 0, room = 0;  // room: entries of `seen` a round
  int size = 0;
  S scale = 1;
  HeadRows<const T> q, own, k, v;
  HeadRows<T> y;
  const int32_t* seen = nullptr;
  bool aligned = false;
  S* factor = nullptr;        // of each entry of `seen`
  uint8_t* finite = nullptr;  // likewise
};

/// Which of the things that a kernel handles one by one is a warp's.
template <class M>
TENET_GPU int64_t warp_number() {
  return M::block() * (M::threads() / 32) + M::thread() / 32;
}

template <class M>
TENET_GPU int warp_least(int value) {
  for (int half = 16; half > 0; half /= 2) {
    const int other = M::shuffle_xor(value, half);
    value = other < value ? other : value;
  }
  return value;
}

/// The mean square of a key plus epsilon, by a warp.
template <class M, class T>
TENET_GPU Compute<T> mean_square(const T* k, int size) {
  using S = Compute<T>;
  S sum = 0;
  for (int n = M::thread() % 32; n < size; n += 32) sum = multiply_add(S(k[n]), S(k[n]), sum);
  return warp_sum<M>(sum) / static_cast<S>(size) + static_cast<S>(1e-6);
}
/// Whether all of a row is finite, by a warp.
template <class M, class T>
TENET_GPU bool all_finite(const T* row, int size) {
  using S = Compute<T>;
  int fine = 1;
  for (int n = M::thread() % 32; n < size; n += 32) fine = S(row[n]) - S(row[n]) == S(0) ? fine : 0;
  return warp_least<M>(fine) != 0;
}

/// The facts of position warp_number() of the group. Returns whether there is one.
template <class M, class T>
TENET_GPU bool find_facts(const Task<T>& t) {
  const int64_t n = warp_number<M>();
  if (n >= t.heads * t.L) return false;
  const int64_t head = t.head_of(n), b = head / t.H, h = head % t.H, i = n % t.L;
  const Compute<T> mean = mean_square<M>(t.q.at(b, h, i), t.size);
  const bool finite = all_finite<M>(t.v.at(b, h, i), t.size);
  if (M::thread() % 32 == 0) {
    t.mean[n] = mean;
    t.factor[n] = t.scale / math::sqrt(mean);
    t.finite[n] = finite;
  }
  return true;
}

/// The facts of the positions that a step sees, a warp for each entry of `seen`.
template <class M, class T>
TENET_GPU void step_facts(const StepTask<T>& t) {
  const int64_t n = warp_number<M>(), head = n / (t.R * t.room);
  if (n >= t.heads * t.R * t.room || t.seen[n] < 0) return;
  const int64_t b = head / t.H, h = head % t.H;
  const Compute<T> mean = mean_square<M>(t.k.at(b, h, t.seen[n]), t.size);
  const bool finite = all_finite<M>(t.v.at(b, h, t.seen[n]), t.size);
  if (M::thread() % 32 != 0) return;
  t.factor[n] = t.scale / math::sqrt(mean);
  t.finite[n] = finite;
}

/// Before the first round: the facts, and the rows that the mask leaves out.
template <class M, class T>
TENET_GPU void prepare_forward(const Task<T>& t) {
  if (!find_facts<M>(t)) return;
  const int64_t n = warp_number<M>(), head = t.head_of(n), i = n % t.L;
  if (t.used(head, i)) return;
  T* const y = t.out.at(head / t.H, head % t.H, i);
  for (int e = M::thread() % 32; e < t.size; e += 32) y[e] = T(0);
  if (M::thread() % 32 == 0) t.log_sum[head * t.L + i] = nothing<Compute<T>>;
}

/// The same, and delta.
template <class M, class T>
TENET_GPU void prepare_backward(const Task<T>& t) {
  using S = Compute<T>;
  if (!find_facts<M>(t)) return;
  const int64_t n = warp_number<M>(), head = t.head_of(n), i = n % t.L;
  const int64_t b = head / t.H, h = head % t.H;
  const T *y = t.y.at(b, h, i), *dy = t.dy.at(b, h, i);
  T *const dqk = t.dqk.at(b, h, i), *const dv = t.dv.at(b, h, i);
  const bool used = t.used(head, i);
  S delta = 0;
  for (int e = M::thread() % 32; e < t.size; e += 32) {
    delta = multiply_add(S(dy[e]), S(y[e]), delta);
    if (!used) dqk[e] = dv[e] = T(0);
  }
  delta = warp_sum<M>(delta);
  if (M::thread() % 32 == 0) t.delta[n] = delta;
}

}  // namespace tenet::cuda::lsh
