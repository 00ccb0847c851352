/// Losses: how far predictions are from targets. cross_entropy.h has that of classes from logits.
///
/// All are made of other ops, differentiable any number of times, and f32 for half types. The mean
/// is the default reduction. Prediction and target have one shape: `mse_loss: prediction (64, 1)
/// and target (64,) differ in shape; reshape one`.
#pragma once

#include <tenet/ops/cross_entropy.h>

namespace tenet {

/// (prediction - target)^2.
Tensor mse_loss(const Tensor& prediction, const Tensor& target,
                Reduction reduction = Reduction::mean);
/// |prediction - target|; its gradient at 0 is 0.
Tensor l1_loss(const Tensor& prediction, const Tensor& target,
               Reduction reduction = Reduction::mean);
/// d^2 / 2 for d = |prediction - target| up to delta, delta (d - delta / 2) above. Huber (1964).
/// Error unless delta is positive.
Tensor huber_loss(const Tensor& prediction, const Tensor& target, double delta = 1,
                  Reduction reduction = Reduction::mean);
/// d^2 / (2 beta) up to beta, d - beta / 2 above: huber_loss / beta; l1_loss for beta = 0. Girshick
/// (2015).
Tensor smooth_l1_loss(const Tensor& prediction, const Tensor& target, double beta = 1,
                      Reduction reduction = Reduction::mean);

/// How binary_cross_entropy_with_logits() weighs.
struct BinaryCrossEntropyOptions {
  Tensor weight = {};      // of each element's loss; broadcasts to the logits
  Tensor pos_weight = {};  // p: how much more positives count; broadcasts to the logits
  Reduction reduction = Reduction::mean;  // of the elements' losses
};

/// -(p t log(sigmoid(x)) + (1 - t) log(1 - sigmoid(x))) for logits x and targets t in [0, 1], made
/// of positive terms by softplus: no overflow, no cancellation. Neither weight takes a gradient.
Tensor binary_cross_entropy_with_logits(const Tensor& logits, const Tensor& target,
                                        const BinaryCrossEntropyOptions& options = {});

/// How kl_div() reads its target.
struct KlDivOptions {
  bool log_target = false;                // the target holds logarithms too
  Reduction reduction = Reduction::mean;  // of the distributions' divergences
};

/// KL(p || q) = sum_v p (log p - log q) of each pair of distributions along the last axis, given
/// log q and p: (..., V) -> (...); then their mean, or sum. Terms with p = 0 are 0.
Tensor kl_div(const Tensor& log_q, const Tensor& p, KlDivOptions options = {});

/// Which positions count in nll_loss(), and how much.
struct NllLossOptions {
  int64_t ignore_index = -100;            // as CrossEntropyOptions::ignore_index
  Reduction reduction = Reduction::mean;  // of the positions' losses
  Tensor weight = {};                     // (V,): as CrossEntropyOptions::weight
};

/// -log_p[i, targets[i]], reduced as cross_entropy() is: log_p (..., V), targets (...) i64 or i32.
/// nll_loss(log_softmax(x), t) is cross_entropy(x, t).
Tensor nll_loss(const Tensor& log_p, const Tensor& targets, const NllLossOptions& options = {});

}  // namespace tenet
