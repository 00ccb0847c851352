/// Stochastic gradient descent.
#pragma once

#include <tenet/optim/optimizer.h>

namespace tenet::optim {

/// What Sgd is made with.
struct SgdOptions {
  double learning_rate = 1e-2;  // of every parameter, unless its group has its own
  double momentum = 0;          // how much of the last update is kept; 0: none
  double dampening = 0;         // of what a gradient adds to the momentum, from the second step on
  bool nesterov = false;        // look ahead along the momentum
  double weight_decay = 0;      // lambda: added to the gradient as lambda w
};

/// w -= learning_rate dw; with momentum u = momentum u + (1 - dampening) dw, in the optimizer's
/// first step u = dw, and w -= learning_rate u, or, if nesterov, w -= learning_rate (dw + momentum
/// u). Sutskever et al. (2013).
class Sgd : public Optimizer {
 public:
  explicit Sgd(const ParameterList& parameters, SgdOptions options = {});

 protected:
  void update(const std::vector<Active>& active, const Step& step) override;
  bool obeys_guard() const override { return true; }

 private:
  SgdOptions options_;
};

}  // namespace tenet::optim
