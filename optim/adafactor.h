/// Adafactor, as the Reformer's authors used it.
#pragma once

#include <tenet/optim/optimizer.h>

namespace tenet::optim {

struct AdafactorOptions {
  double learning_rate = 1e-2;      // relative to the parameter's size if multiply_by_parameter_scale
  bool multiply_by_parameter_scale = true;
  double clipping_threshold = 1.0;  // of the update's root mean square
  double decay_rate = 0.8;
  double epsilon1 = 1e-30;          // added to the squared gradient
  double epsilon2 = 1e-3;           // smallest parameter scale
  double weight_decay = 1e-5;
};

/// The second moment of a matrix kept as its row and column means, no momentum. With b = 1 - t^-decay_rate, t from 1:
/// s = g^2 + eps1; row = b row + (1-b) mean_col(s), col = b col + (1-b) mean_row(s), v = row col^T / mean(row);
/// u = g / sqrt(v), u /= max(1, rms(u) / clipping_threshold);
/// w -= rate * max(rms(w), eps2) * u + weight_decay * w.
/// Leading axes of tensors with more than two are batches; vectors keep v whole. Shazeer and Stern, "Adafactor" (2018).
class Adafactor : public Optimizer {
 public:
  explicit Adafactor(NamedTensors parameters, AdafactorOptions options = {});
  explicit Adafactor(const std::vector<Tensor>& parameters, AdafactorOptions options = {})
      : Adafactor(numbered(parameters), options) {}

 protected:
  Shape slot_shape(size_t slot, const Shape& parameter) const override;
  bool has_slot(size_t slot, const Shape& parameter) const override;
  void update(const Tensor& parameter, const Tensor& gradient, std::vector<Tensor>& slots,
              int64_t t) override;

 private:
  AdafactorOptions options_;
};

}  // namespace tenet::optim
