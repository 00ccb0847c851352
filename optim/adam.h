/// Adam and AdamW.
#pragma once

#include <tenet/optim/optimizer.h>

namespace tenet::optim {

struct AdamOptions {
  double learning_rate = 1e-3;
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  double weight_decay = 0;  // Adam: added to the gradient; AdamW: decoupled
};

/// m = b1 m + (1-b1) g, v = b2 v + (1-b2) g^2, w -= rate * m/(1-b1^t) / (sqrt(v/(1-b2^t)) + eps).
/// Kingma and Ba, "Adam" (2015).
class Adam : public Optimizer {
 public:
  explicit Adam(NamedTensors parameters, AdamOptions options = {});
  explicit Adam(const std::vector<Tensor>& parameters, AdamOptions options = {})
      : Adam(numbered(parameters), options) {}

 protected:
  Adam(NamedTensors parameters, AdamOptions options, bool decoupled);
  void update(const Tensor& parameter, const Tensor& gradient, std::vector<Tensor>& slots,
              int64_t t) override;

 private:
  AdamOptions options_;
  bool decoupled_ = false;
};

struct AdamWOptions {
  double learning_rate = 1e-3;
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  double weight_decay = 1e-2;
};

/// Adam after w -= rate * weight_decay * w. Loshchilov and Hutter, "Decoupled Weight Decay Regularization" (2019).
class AdamW : public Adam {
 public:
  explicit AdamW(NamedTensors parameters, AdamWOptions options = {});
  explicit AdamW(const std::vector<Tensor>& parameters, AdamWOptions options = {})
      : AdamW(numbered(parameters), options) {}
};

}  // namespace tenet::optim
