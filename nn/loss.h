/// Losses as modules: the functions of ops/loss.h and ops/cross_entropy.h with their options fixed.
#pragma once

#include <tenet/nn/linear.h>
#include <tenet/ops/cross_entropy.h>
#include <tenet/ops/loss.h>

namespace tenet::nn {

/// Which positions count in a CrossEntropyLoss, and how much.
struct CrossEntropyLossOptions {
  int64_t ignore_index = -100;  // targets with this value do not count
  int64_t chunk = 1024;         // positions whose logits exist at a time, of a loss with a head
  Reduction reduction = Reduction::mean;  // of the positions' losses
  Tensor weight = {};                     // of the classes (V,); a buffer
  double label_smoothing = 0;             // of each target, spread over all classes
};

/// The cross entropy in nats of predictions with target classes, targets (..) i64 or i32.
struct CrossEntropyLoss : Module {
  CrossEntropyLossOptions options;  // as given

  explicit CrossEntropyLoss(CrossEntropyLossOptions options = {});
  /// From logits (.., V).
  Tensor operator()(const Tensor& logits, const Tensor& targets) const;
  /// From hidden states (.., D) whose logits are head(hidden), of which one chunk is in memory at a
  /// time, forwards and backwards. The same bits for any chunk. Error: Reduction::none, class
  /// weights or label smoothing.
  Tensor operator()(const Tensor& hidden, const Linear& head, const Tensor& targets) const;
  void fields(Fields& f) override { f.buffer("weight", options.weight); }
};

/// (prediction - target)^2, reduced.
struct MseLoss : Module {
  Reduction reduction;  // of the elements' losses
  explicit MseLoss(Reduction r = Reduction::mean) : reduction(r) {}
  Tensor operator()(const Tensor& prediction, const Tensor& target) const;
  void fields(Fields&) override {}
};

/// |prediction - target|, reduced.
struct L1Loss : Module {
  Reduction reduction;  // of the elements' losses
  explicit L1Loss(Reduction r = Reduction::mean) : reduction(r) {}
  Tensor operator()(const Tensor& prediction, const Tensor& target) const;
  void fields(Fields&) override {}
};

/// huber_loss() with its delta.
struct HuberLoss : Module {
  double delta;         // where the square ends
  Reduction reduction;  // of the elements' losses
  explicit HuberLoss(double d = 1, Reduction r = Reduction::mean) : delta(d), reduction(r) {}
  Tensor operator()(const Tensor& prediction, const Tensor& target) const;
  void fields(Fields&) override {}
};

/// smooth_l1_loss() with its beta.
struct SmoothL1Loss : Module {
  double beta;          // where the square ends
  Reduction reduction;  // of the elements' losses
  explicit SmoothL1Loss(double b = 1, Reduction r = Reduction::mean) : beta(b), reduction(r) {}
  Tensor operator()(const Tensor& prediction, const Tensor& target) const;
  void fields(Fields&) override {}
};

/// binary_cross_entropy_with_logits() with its options; their weights are buffers.
struct BceWithLogitsLoss : Module {
  BinaryCrossEntropyOptions options;  // as given
  explicit BceWithLogitsLoss(BinaryCrossEntropyOptions o = {}) : options(std::move(o)) {}
  Tensor operator()(const Tensor& logits, const Tensor& target) const;
  void fields(Fields& f) override;
};

/// kl_div() with its options.
struct KlDivLoss : Module {
  KlDivOptions options;  // as given
  explicit KlDivLoss(KlDivOptions o = {}) : options(o) {}
  Tensor operator()(const Tensor& log_q, const Tensor& p) const;
  void fields(Fields&) override {}
};

/// nll_loss() with its options; the class weights are a buffer.
struct NllLoss : Module {
  NllLossOptions options;  // as given
  explicit NllLoss(NllLossOptions o = {}) : options(std::move(o)) {}
  Tensor operator()(const Tensor& log_p, const Tensor& targets) const;
  void fields(Fields& f) override { f.buffer("weight", options.weight); }
};

}  // namespace tenet::nn
