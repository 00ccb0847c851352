/// Adam and AdamW.
#pragma once

#include <tenet/optim/optimizer.h>

namespace tenet::optim {

/// What Adam is made with.
struct AdamOptions {
  double learning_rate = 1e-3;        // of every parameter, unless its group has its own
  double beta1 = 0.9, beta2 = 0.999;  // how much of the first and second moments is kept
  double eps = 1e-8;                  // added to the root of the second moment
  double weight_decay = 0;            // lambda: added to the gradient as lambda w
};

/// m = beta1 m + (1 - beta1) dw;  v = beta2 v + (1 - beta2) dw^2;
/// w -= learning_rate (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps).
/// Kingma and Ba, "Adam" (2015), algorithm 1. t counts steps of the optimizer.
class Adam : public Optimizer {
 public:
  explicit Adam(const ParameterList& parameters, AdamOptions options = {});

 protected:
  /// For AdamW: the name in errors, and weight decay that stays out of the moments.
  Adam(const ParameterList& parameters, AdamOptions options, std::string name, bool decoupled);
  void update(const std::vector<Active>& active, const Step& step) override;
  bool obeys_guard() const override { return true; }

 private:
  AdamOptions options_;
  bool decoupled_;
};

/// What AdamW is made with.
struct AdamWOptions {
  double learning_rate = 1e-3;        // of every parameter, unless its group has its own
  double beta1 = 0.9, beta2 = 0.999;  // how much of the first and second moments is kept
  double eps = 1e-8;                  // added to the root of the second moment
  double weight_decay = 1e-2;         // lambda: w shrinks by learning_rate lambda w
};

/// Adam that also multiplies w by 1 - learning_rate weight_decay and leaves the gradient as it is.
/// Loshchilov and Hutter, "Decoupled Weight Decay Regularization" (2019), algorithm 2.
class AdamW : public Adam {
 public:
  explicit AdamW(const ParameterList& parameters, AdamWOptions options = {});
};

}  // namespace tenet::optim
