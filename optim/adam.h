/// Adam and AdamW.
#pragma once

#include <tenet/optim/optimizer.h>

namespace tenet::optim {

struct AdamOptions {
  double learning_rate = 1e-3;
  double beta1 = 0.9, beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0;  // lambda: added to the gradient as lambda w
};

/// m = beta1 m + (1 - beta1) dw;  v = beta2 v + (1 - beta2) dw^2;
/// w -= learning_rate (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps).
/// Kingma and Ba, "Adam" (2015), algorithm 1. t counts steps of the optimizer.
class Adam : public Optimizer {
 public:
  explicit Adam(const ParameterList& parameters, AdamOptions options = {});

 protected:
  Adam(const ParameterList& parameters, AdamOptions options, std::string name, bool decoupled);
  void update(const std::vector<Active>& active, const Step& step) override;

 private:
  AdamOptions options_;
  bool decoupled_;
};

struct AdamWOptions {
  double learning_rate = 1e-3;
  double beta1 = 0.9, beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 1e-2;
};

/// Adam that also multiplies w by 1 - learning_rate weight_decay and leaves the gradient as it is.
/// Loshchilov and Hutter, "Decoupled Weight Decay Regularization" (2019), algorithm 2.
class AdamW : public Adam {
 public:
  explicit AdamW(const ParameterList& parameters, AdamWOptions options = {});
};

}  // namespace tenet::optim
