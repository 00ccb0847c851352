/// Adafactor.
#pragma once

#include <tenet/optim/optimizer.h>

namespace tenet::optim {

/// As the Reformer's authors used it (trax, `optimizers/base.py`, October 2019).
struct AdafactorOptions {
  double learning_rate = 0.05;  // relative to each parameter's scale, unless that is switched off
  bool factored = true;         // second moments of rows and columns, not of every element
  bool multiply_by_parameter_scale = true;  // updates relative to max(rms(w), eps2)
  double clipping_threshold = 1.0;          // the most that rms(y) may be
  double decay_exponent = 0.8;  // of beta2_t: how fast the memory of second moments grows
  /// eps1 is added to dw^2, eps2 is the least scale of a parameter.
  double eps1 = 1e-30, eps2 = 1e-3;
  double weight_decay = 1e-5;  // per step, not multiplied by the learning rate
  /// Multiply it by the learning rate and the parameter's scale, as Hugging Face does.
  bool scale_weight_decay = false;
  double beta1 = 0;  // momentum of the updates, for the memory of one more tensor; 0: none
};

/// Second moments in O(rows + columns) memory. With beta2_t = 1 - t^-decay_exponent (t from 1) and
/// q = dw^2 + eps1: row = beta2 row + (1 - beta2) mean_columns(q), column likewise, and y = dw /
/// sqrt(row column / mean(row)) for tensors of two axes or more (the last two; axes of size 1 do
/// not count), y = dw / sqrt(v) for others; y /= max(1, rms(y) / clipping_threshold);  w = (1 -
/// weight_decay) w - u, u = learning_rate max(rms(w), eps2) y, or its moving average by beta1.
/// Shazeer and Stern, "Adafactor" (2018). Hugging Face's is {.weight_decay = 0} and, with its
/// relative_step, the schedule adafactor_rate().
class Adafactor : public Optimizer {
 public:
  explicit Adafactor(const ParameterList& parameters, AdafactorOptions options = {});

 protected:
  void update(const std::vector<Active>& active, const Step& step) override;
  bool obeys_guard() const override { return true; }

 private:
  AdafactorOptions options_;
};

}  // namespace tenet::optim
