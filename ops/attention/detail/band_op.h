/// The op behind attention() and local_attention().
#pragma once

#include <tenet/ops/attention/attention.h>

namespace tenet::detail {

/// Operands and plan are checked.
Tensor band_attention(const char* op, const Tensor& q, const Tensor& k, const Tensor& v,
                      const Tensor& mask, const AttentionPlan& plan);

}  // namespace tenet::detail
