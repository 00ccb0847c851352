/// RMSprop.
#pragma once

#include <tenet/optim/optimizer.h>

namespace tenet::optim {

/// What RmsProp is made with.
struct RmsPropOptions {
  double learning_rate = 1e-2;  // of every parameter, unless its group has its own
  double alpha = 0.99;          // how much of the mean square is kept
  double eps = 1e-8;            // added to the root
  double weight_decay = 0;      // lambda: added to the gradient as lambda w
  double momentum = 0;          // how much of the last update is kept; 0: none
  bool centered = false;        // divide by the standard deviation, not by the root mean square
};

/// v = alpha v + (1 - alpha) dw^2;  y = dw / (sqrt(v) + eps), or, if centered, with v less the
/// square of a mean kept likewise;  u = momentum u + y;  w -= learning_rate u. Tieleman and Hinton,
/// lecture 6.5 of "Neural Networks for Machine Learning" (2012); centered: Graves (2013).
class RmsProp : public Optimizer {
 public:
  explicit RmsProp(const ParameterList& parameters, RmsPropOptions options = {});

 protected:
  void update(const std::vector<Active>& active, const Step& step) override;
  bool obeys_guard() const override { return true; }

 private:
  RmsPropOptions options_;
  size_t momentum_at_ = 1;  // the place of its state
};

}  // namespace tenet::optim
