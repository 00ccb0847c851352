/// LSH attention, preset `windowed`: shared queries and keys, a window along each bucket, rounds
/// combined exactly.
#pragma once

#include <tenet/ops/attention/detail/lsh_hash.h>
#include <tenet/ops/attention/detail/panel.h>

namespace tenet::detail::tiles {

/// The most bytes of a head's rows that a thread copies.
inline constexpr int64_t kHeadCopyBytes = 8 << 20;

/// In each of R rounds query i sees the `window` latest earlier positions of its bucket and, unless
/// causal, as many next ones. y is one softmax over what all rounds show, which is the rounds'
/// outputs weighted by softmax of their log sums; a position seen in two rounds counts twice. If no
/// round shows any, y is the value at i; masked positions give 0.
struct LshShape {
  int64_t B = 0, H = 0, L = 0, size = 0, R = 0, window = 0;
  bool causal = true;
  KeyScale key_scale = {};
  int64_t first_head = 0;  // of a call on some heads: those before it, whose dropout comes first
};

/// `order` is lsh_sort()'s; `mask` is [B, L], 1 where a position is in use, or null.
template <class T>
struct LshInputs {
  HeadView<const T> q, v;
  const int32_t* order = nullptr;
  const uint8_t* mask = nullptr;
  AttentionDropout dropout = {};
};

/// y, and log_sum [B, H, L] over all rounds, -inf where a position sees no other. T is float,
/// double, or bf16 where multiplies_bf16: weights then count with 16 bits, in the gradients of k
/// and v with 8, and sums are f32.
template <class T>
void lsh_forward(const LshShape& shape, const LshInputs<T>& in, HeadView<T> y, Compute<T>* log_sum);

/// `q` and `own` are one row a head, the query's and its value; `k` and `v` hold the `L` positions
/// so far, of type Kept; `seen` is as in LshStep.
template <class T, class Kept>
struct LshStepInputs {
  HeadView<const T> q, own;
  HeadView<const Kept> k, v;
  const int32_t* seen = nullptr;
};

/// The row of y that lsh_forward() gives a query which sees those positions.
template <class T, class Kept>
void lsh_step(const LshShape& shape, const LshStepInputs<T, Kept>& in, HeadView<T> y);

/// Whether a head of lsh_backward() is small enough for a thread to copy. If not, all threads may
/// as well work on one head at a time, in a call of its own with scratch for one head.
template <class T>
bool lsh_copies_heads(const LshShape& shape);

/// The gradients of q, through queries and keys, and of v, both overwritten; dq may lie where y
/// does. T as in lsh_forward().
template <class T>
void lsh_backward(const LshShape& shape, const LshInputs<T>& in, HeadView<const T> y,
                  HeadView<const T> dy, const Compute<T>* log_sum, HeadView<T> dq, HeadView<T> dv);

}  // namespace tenet::detail::tiles
