/// Loss scaling: small gradients of f16 products kept from becoming 0.
#pragma once

#include <tenet/core/tensor.h>

#include <cstdint>
#include <vector>

namespace tenet::optim {

/// What a LossScaler is made with.
struct LossScalerOptions {
  double initial = 65536;   // the first factor
  int64_t interval = 2000;  // steps without an overflow after which it doubles
};

/// A factor for the loss that follows what f16 can hold: halved when gradients are not finite,
/// doubled after `interval` steps in which they were. Micikevicius et al., "Mixed Precision
/// Training" (2018), section 3.2.
///
///     const Autocast scope(DType::f16);
///     backward(scaler.scaled(loss));
///     scaler.unscale(model.parameters());
///     scaler.update(std::isfinite(guard.step(optimizer, 1.0)));
class LossScaler {
 public:
  /// Error: an initial factor that is not positive and finite, or an interval below 1.
  explicit LossScaler(LossScalerOptions options = {});

  /// loss * scale().
  Tensor scaled(const Tensor& loss) const;
  /// Divides the gradients by scale().
  void unscale(const std::vector<Tensor>& parameters) const;
  /// Adapts the factor to whether the step's gradients were finite.
  void update(bool finite);

  /// The factor, and for how many steps it has not overflowed.
  double scale() const { return scale_; }
  int64_t good_steps() const { return good_steps_; }
  /// Goes on as a saved run did.
  void restore(double scale, int64_t good_steps);

 private:
  LossScalerOptions options_;
  double scale_;
  int64_t good_steps_ = 0;
};

}  // namespace tenet::optim
