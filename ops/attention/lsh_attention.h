/// Attention among positions that hash alike. Kitaev, Kaiser, Levskaya, "Reformer" (2020), section
/// 2, made exactly causal: a window along each bucket instead of chunks of the sorted sequence.
#pragma once

#include <tenet/core/generator.h>
#include <tenet/core/kernel.h>
#include <tenet/core/tensor.h>
#include <tenet/core/view.h>

#include <optional>
#include <vector>

namespace tenet {

/// The buckets of qk (B, H, L, K) in each of R rounds, i32 (B, H, R, L). rotations is (H, K, R,
/// sum(factors) / 2), drawn from N(0, 1); z = qk . rotations; a_j = argmax(concat(z, -z)) over
/// factor j's columns, first index on ties; the bucket is a_0 + f_0 (a_1 + f_1 (a_2 + ...)), below
/// the product of the factors. No gradient. Error unless every factor is even.
Tensor lsh_hash(const Tensor& qk, const Tensor& rotations, const std::vector<int64_t>& factors);

/// How lsh_attention() hashes, weighs and masks.
struct LshAttentionOptions {
  std::vector<int64_t> factors = {};  // even; their product is the number of buckets
  int64_t window = 64;                // positions seen of the own bucket, on each side
  bool causal = true;                 // a query sees no key of a later position
  std::optional<double> scale = {};   // of the scores; 1 / sqrt(K) by default
  Tensor mask =
      {};  // (B, L), boolean or u8: positions in use, the others are in no bucket; undefined: all
  double dropout = 0;              // probability of dropping an attention weight
  Generator* generator = nullptr;  // of the dropout; null: default_generator()
};

/// LSH attention with shared queries and keys, q = qk (B, H, L, K), k = qk / sqrt(mean(qk^2) +
/// 1e-6): in each round position i sees the `window` latest earlier positions of its bucket and,
/// unless causal, as many later ones. With l_r the log of the sum of exp(scale q . k) over round r
/// and o_r its softmax mean of v, y = sum_r softmax_r(l_r) o_r over the rounds that see any; if
/// none does, y = v_i and the scores get no gradient. Positions that the mask leaves out give 0.
///
/// y is a (B, H, L, K) view of (B, L, H, K) memory. Causal to the bit: later positions change no
/// earlier row. O(L R window) time, O(L R) memory; once differentiable, the buckets have no
/// gradient. Errors name shapes and types that do not fit.
Tensor lsh_attention(const Tensor& qk, const Tensor& v, const Tensor& rotations,
                     const LshAttentionOptions& options);

namespace detail {

struct LshPlan {
  double scale = 1;
  int64_t window = 0;
  bool causal = true;
  double dropout = 0;
  PhiloxKey random = {};
};

/// order (B, H, R, L), i32: the positions of each round by (bucket, position). The first of a
/// bucket is stored as ~position; behind the last, where the mask left some out, stands INT32_MIN.
struct LshSort {
  View order, bucket, mask;
  int64_t buckets;
};
/// As in AttentionForward; log_sum runs over all rounds.
struct LshForward {
  View y, log_sum, qk, v, order, mask;
  LshPlan plan;
};
/// One new position: q and own (B, H, 1, K) are its query and value, k and v (B, H, L, K) those of
/// all so far, seen (B, H, R, window + tiles::kBucketRun), i32, the positions that it sees in each
/// round, rising: before them -1 as often as they are places behind the start of a run, behind them
/// -1.
struct LshStep {
  View y, q, own, k, v, seen;
  LshPlan plan;
};
struct LshBackward {
  View dqk, dv, y, dy, log_sum, qk, v, order, mask;
  LshPlan plan;
};
extern Kernel<void(View bucket, View qk, View rotations, const std::vector<int64_t>& factors)>
    lsh_hash_kernel;
extern Kernel<void(const LshSort&)> lsh_sort_kernel;
extern Kernel<void(const LshForward&)> lsh_attention_kernel;
extern Kernel<void(const LshStep&)> lsh_step_kernel;
extern Kernel<void(const LshBackward&)> lsh_attention_backward_kernel;

}  // namespace detail
}  // namespace tenet
