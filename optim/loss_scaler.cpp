#include <tenet/core/error.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/optim/clip.h>
#include <tenet/optim/loss_scaler.h>

#include <algorithm>
#include <cmath>

namespace tenet::optim {
namespace {

/// Powers of two, of which no product rounds; beyond the largest a loss of 1 overflows f32.
constexpr double smallest = 0x1p-24, largest = 0x1p+60;

}  // namespace

LossScaler::LossScaler(LossScalerOptions options) : options_(options), scale_(options.initial) {
  check(std::isfinite(options.initial) && options.initial > 0,
        "loss scaler: the factor is {}; it must be positive and finite", options.initial);
  check(options.interval >= 1, "loss scaler: the interval is {}; it must be at least 1",
        options.interval);
}

Tensor LossScaler::scaled(const Tensor& loss) const { return mul(loss, scale_); }

void LossScaler::unscale(const std::vector<Tensor>& parameters) const {
  scale_gradients(parameters, 1 / scale_);
}

void LossScaler::update(bool finite) {
  good_steps_ = finite ? good_steps_ + 1 : 0;
  if (!finite) scale_ = std::max(scale_ / 2, smallest);
  if (good_steps_ < options_.interval) return;
  scale_ = std::min(scale_ * 2, largest);
  good_steps_ = 0;
}

void LossScaler::restore(double scale, int64_t good_steps) {
  check(std::isfinite(scale) && scale > 0 && good_steps >= 0,
        "loss scaler: a factor of {} after {} steps cannot be", scale, good_steps);
  scale_ = scale;
  good_steps_ = good_steps;
}

}  // namespace tenet::optim
