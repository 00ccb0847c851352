/// What losses of classes share.
#pragma once

#include <tenet/core/tensor.h>

namespace tenet::detail {

/// Targets as contiguous (rows,) i64, each a class or ignore_index, for x (..., classes): their
/// shape must be x's without its last axis. `what` is x's name in errors.
Tensor class_targets(const Tensor& x, const Tensor& targets, int64_t classes, int64_t ignore_index,
                     const char* op, const char* what);

/// weight[targets] (rows,), 0 where ignored; undefined weights are 1. `targets` as class_targets()
/// gives them, weight (classes,), taken without its gradient.
Tensor target_weights(const Tensor& targets, const Tensor& weight, int64_t classes,
                      int64_t ignore_index, DType dtype, const char* op);

/// sum(losses) / sum(weights), 0 if the weights add up to 0.
Tensor weighted_mean(const Tensor& losses, const Tensor& weights);

}  // namespace tenet::detail
