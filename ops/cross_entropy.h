/// The cross entropy of predictions with target classes, from logits or straight from hidden
/// states.
#pragma once

#include <tenet/core/kernel.h>
#include <tenet/core/tensor.h>
#include <tenet/core/view.h>

namespace tenet {

/// What is made of the losses of all positions: nothing, their sum, or their mean.
enum class Reduction : uint8_t { none, sum, mean };

/// Which positions count in cross_entropy(), and how much.
struct CrossEntropyOptions {
  /// Positions with this target have loss and gradient 0 and do not count in the mean.
  int64_t ignore_index = -100;
  /// What is made of the losses.
  Reduction reduction = Reduction::mean;
  /// w (V,): the loss of a position is multiplied by the weight of its target, and the mean divides
  /// by the sum of these. Takes no gradient.
  Tensor weight = {};
  /// s: the target counts (1 - s) and every class c, weighted, s / V. Szegedy et al. (2016).
  double label_smoothing = 0;
};

/// loss[i] = logsumexp(logits[i]) - logits[i, targets[i]] in nats; then their sum, or their mean
/// over the positions that count (0 if there are none). logits (..., V); targets (...) i64 or i32.
/// The loss is f32 for half types. Errors: `cross_entropy: logits (2, 3, 5) need targets (2, 3),
/// not (2,)`; `cross_entropy: index 300 at position 5 is outside 0..257`.
Tensor cross_entropy(const Tensor& logits, const Tensor& targets, CrossEntropyOptions options = {});

/// Which positions count in linear_cross_entropy(), and how many are taken together.
struct LinearCrossEntropyOptions {
  /// Positions taken together, or into how many parts to cut them; by default parts of 1,024.
  int64_t chunk_rows = 0;
  int64_t chunk_count = 0;
  /// As in CrossEntropyOptions.
  int64_t ignore_index = -100;
  Reduction reduction = Reduction::mean;  // mean or sum
};

/// cross_entropy(linear(hidden, weight, bias), targets) with the logits of one chunk of positions
/// in memory at a time: each chunk's gradient is made right after its loss, and backward only
/// scales it. The loss has the same bits for any chunk size. hidden (..., D), weight (V, D), bias
/// (V,) or undefined. Half types (and f32 under Autocast) multiply as such and add in f32. Once
/// differentiable.
Tensor linear_cross_entropy(const Tensor& hidden, const Tensor& weight, const Tensor& bias,
                            const Tensor& targets, LinearCrossEntropyOptions options = {});

namespace detail {

/// Rows of one position each: logits (rows, V), targets (rows,) i64; loss and lse =
/// logsumexp(logits): (rows,) of the accumulation type. All contiguous.
extern Kernel<void(View loss, View lse, View logits, View targets, int64_t ignore_index)>
    cross_entropy_kernel;
/// dlogits = (exp(logits - lse) - onehot(targets)) * dloss; dloss (rows,) may have any stride; null
/// data means 1. dlogits may be logits.
extern Kernel<void(View dlogits, View logits, View lse, View targets, View dloss,
                   int64_t ignore_index)>
    cross_entropy_backward_kernel;

}  // namespace detail
}  // namespace tenet
