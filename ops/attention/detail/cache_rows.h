/// What the ops of AttentionCache share.
#pragma once

#include <tenet/core/grad_mode.h>
#include <tenet/ops/attention/detail/operand.h>
#include <tenet/ops/inplace.h>
#include <tenet/ops/views.h>

#include <vector>

namespace tenet::detail {

/// The (1, H, count, K) part of x (B, H, L, K): positions from `first` on of batch element b.
inline Tensor part_of(const Tensor& x, int64_t b, int64_t first, int64_t count) {
  return slice(slice(x, 0, b, b + 1), 2, first, first + count);
}

/// Calls step(b, i) for the positions in use and collects the (1, H, 1, K) rows that it gives.
template <class Step>
Tensor collect(const Tensor& q, const std::vector<int64_t>& counts, Step&& step) {
  if (q.size(0) == 1 && q.size(2) == 1 && counts[0] == 1) return step(0, 0);
  Tensor y = empty_heads(q, q.shape());
  fill_(y, 0);
  for (int64_t b = 0; b < q.size(0); ++b) {
    for (int64_t i = 0; i < counts[static_cast<size_t>(b)]; ++i) {
      copy_(part_of(y, b, i, 1), step(b, i));
    }
  }
  return y;
}

/// Error unless a cache serves attention with these options.
template <class Options>
void check_cacheable(const Options& options, const char* op) {
  check(options.causal, "{}: a cache holds earlier positions only; give causal", op);
  check(options.dropout == 0, "{}: dropout is {}; with a cache give 0", op, options.dropout);
  check(!grad_enabled(), "{}: a cache keeps no graph; use NoGrad", op);
}

}  // namespace tenet::detail
