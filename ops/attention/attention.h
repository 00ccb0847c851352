/// Memory-efficient attention: blocks of queries against blocks of keys, computed again in
/// backward. No L x L matrix exists at any time. Rabe, Staats (2021), arXiv 2112.05682; Dao et al.
/// (2022), arXiv 2205.14135.
#pragma once

#include <tenet/core/generator.h>
#include <tenet/core/kernel.h>
#include <tenet/core/tensor.h>
#include <tenet/core/view.h>

#include <optional>

namespace tenet {

/// How attention() weighs and masks.
struct AttentionOptions {
  std::optional<double> scale = {};  // of the scores; 1 / sqrt(K) by default
  bool causal = false;               // a query sees no key of a later position
  int64_t offset = 0;                // position of query 0 among the keys, for cached decoding
  bool normalize_keys = false;  // keys k / sqrt(mean(k^2) + 1e-6), as with queries and keys shared
  bool exclude_self = false;    // a query does not see its own position unless it sees no other
  Tensor mask = {};             // (B, Lk), boolean or u8: which keys may be seen; undefined: all
  double dropout = 0;           // probability of dropping an attention weight
  Generator* generator = nullptr;  // of the dropout; null: default_generator()
};

/// y = softmax(scale q k^T) v for q (B, H, Lq, K), k and v (B, H, Lk, K): query i stands at
/// position i + offset and sees all keys, or if causal those up to its position. A query that sees
/// no key gives 0; with exclude_self, one that sees only itself gives its own value, and its scores
/// get no gradient.
///
/// y is a (B, H, Lq, K) view of (B, Lq, H, K) memory: merging heads is a view. A row's bits are a
/// function of the query and of the keys that it sees, in their order, alone. Dropped weights are
/// not made up for in the softmax's sum. O(L) memory; once differentiable. Errors name shapes and
/// types that do not fit.
Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v,
                 const AttentionOptions& options = {});

namespace detail {

/// What an attention kernel needs beside its tensors. Query i stands at position p = i + offset and
/// sees the keys of chunks p / chunk - before to p / chunk + after (every key if chunk is 0), up to
/// p if causal.
struct AttentionPlan {
  double scale = 1;
  int64_t offset = 0, chunk = 0, before = 0, after = 0;
  bool causal = false, normalize_keys = false, exclude_self = false;
  double dropout = 0;
  PhiloxKey random = {};
};

/// All (B, H, L, K) with contiguous rows; log_sum (B, H, Lq), contiguous, is the logarithm of the
/// sum of exp(score), in the accumulation type, -inf where a query sees nothing; mask (B, Lk) is
/// contiguous bytes, or has null data.
struct AttentionForward {
  View y, log_sum, q, k, v, mask;
  AttentionPlan plan;
};
struct AttentionBackward {
  View dq, dk, dv, y, dy, log_sum, q, k, v, mask;
  AttentionPlan plan;
};
extern Kernel<void(const AttentionForward&)> attention_kernel;
extern Kernel<void(const AttentionBackward&)> attention_backward_kernel;

}  // namespace detail
}  // namespace tenet
