/// Attention in which a query sees one range of keys: full, causal, local, and the authors'
/// shared-QK forms of them.
#pragma once

#include <tenet/ops/attention/detail/panel.h>

namespace tenet::detail::tiles {

/// Query i stands at position p = i + offset among the keys. It sees the keys of chunks p / chunk -
/// before to p / chunk + after (all, if chunk is 0), if causal only those up to p, and with
/// exclude_self not p itself unless there is no other; then y is the value at p. A query that sees
/// no key at all gets 0.
struct BandShape {
  int64_t B = 0, H = 0, Lq = 0, Lk = 0, size = 0;
  int64_t offset = 0;
  int64_t chunk = 0, before = 0, after = 0;
  bool causal = false, exclude_self = false;
  KeyScale key_scale = {};
};

/// `mask` is [B, Lk], 1 where a key may be seen, or null.
template <class T>
struct BandInputs {
  HeadView<const T> q, k, v;
  const uint8_t* mask = nullptr;
  AttentionDropout dropout = {};
};

/// y = softmax(scores) v and log_sum [B, H, Lq], the logarithm of the sum of exp(score); -inf where
/// nothing is seen. T is float, double, or bf16 where multiplies_bf16: weights then count with 16
/// bits, in the gradients of k and v with 8, and sums are f32.
template <class T>
void band_forward(const BandShape& shape, const BandInputs<T>& in, HeadView<T> y,
                  Compute<T>* log_sum);

/// The gradients of q, k and v (all overwritten) from y, log_sum and the gradient dy; the scores
/// are computed again. T as in band_forward().
template <class T>
void band_backward(const BandShape& shape, const BandInputs<T>& in, HeadView<const T> y,
                   HeadView<const T> dy, const Compute<T>* log_sum, HeadView<T> dq, HeadView<T> dk,
                   HeadView<T> dv);

}  // namespace tenet::detail::tiles
