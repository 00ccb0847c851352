/// Stochastic gradient descent.
#pragma once

#include <tenet/optim/optimizer.h>

namespace tenet::optim {

struct SgdOptions {
  double learning_rate = 1e-2;
  double momentum = 0;
  double weight_decay = 0;
};

/// b = momentum * b + g + weight_decay * w, w -= rate * b.
class Sgd : public Optimizer {
 public:
  explicit Sgd(NamedTensors parameters, SgdOptions options = {});
  explicit Sgd(const std::vector<Tensor>& parameters, SgdOptions options = {})
      : Sgd(numbered(parameters), options) {}

 protected:
  bool has_slot(size_t, const Shape&) const override { return options_.momentum != 0; }
  void update(const Tensor& parameter, const Tensor& gradient, std::vector<Tensor>& slots,
              int64_t t) override;

 private:
  SgdOptions options_;
};

}  // namespace tenet::optim
