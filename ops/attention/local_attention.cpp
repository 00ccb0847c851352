#include <tenet/ops/attention/detail/band_op.h>
#include <tenet/ops/attention/detail/operand.h>
#include <tenet/ops/attention/local_attention.h>

#include <algorithm>
#include <cmath>

namespace tenet {

Tensor local_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                       const LocalAttentionOptions& options) {
  const char* const op = "local_attention";
  detail::check_heads(q, "q", op);
  detail::check_alike(q, "q", k, "k", -1, op);
  detail::check_alike(k, "k", v, "v", -1, op);
  check(options.chunk > 0, "{}: chunk is {}, not positive", op, options.chunk);
  check(options.before >= 0 && options.after >= 0, "{}: before is {} and after is {}, below 0", op,
        options.before, options.after);
  check(!options.causal || options.after == 0, "{}: after is {} but causal is set; give after 0",
        op, options.after);
  const int64_t L = q.size(2);
  detail::AttentionPlan plan;
  plan.scale = options.scale.value_or(1 / std::sqrt(static_cast<double>(q.size(3))));
  plan.chunk = std::min(options.chunk, std::max<int64_t>(L, 1));
  plan.before = std::min(options.before, L);
  plan.after = std::min(options.after, L);
  plan.causal = options.causal;
  plan.normalize_keys = options.normalize_keys;
  plan.exclude_self = options.exclude_self;
  const uint64_t weights =
      static_cast<uint64_t>(q.size(0) * q.size(1) * L) * static_cast<uint64_t>(L);
  plan.dropout =
      detail::checked_dropout(options.dropout, options.generator, weights, plan.random, op);
  return detail::band_attention(op, q, k, v, detail::checked_mask(options.mask, k, op), plan);
}

}  // namespace tenet
