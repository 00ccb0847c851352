/// Losses as modules.
#pragma once

#include <tenet/nn/linear.h>
#include <tenet/ops/cross_entropy.h>

namespace tenet::nn {

struct CrossEntropyLossOptions {
  int64_t ignore_index = -100;  // targets with this value do not count
  int64_t chunk = 1024;         // positions whose logits exist at a time, of a loss with a head
  Reduction reduction = Reduction::mean;
};

/// The cross entropy in nats of predictions with target classes, targets (..) i64 or i32.
struct CrossEntropyLoss : Module {
  CrossEntropyLossOptions options;

  explicit CrossEntropyLoss(CrossEntropyLossOptions options = {});
  /// From logits (.., V).
  Tensor operator()(const Tensor& logits, const Tensor& targets) const;
  /// From hidden states (.., D) whose logits are head(hidden), of which one chunk is in memory at a
  /// time, forwards and backwards. The same bits for any chunk. Error: Reduction::none.
  Tensor operator()(const Tensor& hidden, const Linear& head, const Tensor& targets) const;
  void fields(Fields&) override {}
};

}  // namespace tenet::nn
