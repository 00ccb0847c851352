#include <tenet/optim/schedule.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace tenet::optim {

double warmup(double rate, int64_t warmup_steps, int64_t step) {
  if (step + 1 >= warmup_steps) return rate;
  return rate * static_cast<double>(step + 1) / static_cast<double>(warmup_steps);
}

double inverse_sqrt(double rate, int64_t warmup_steps, int64_t step) {
  const auto rise = static_cast<double>(std::max<int64_t>(warmup_steps, 1));
  const auto s = static_cast<double>(step + 1);
  return rate * std::min(1.0, s / rise) * std::sqrt(rise / std::max(s, rise));
}

double cosine(double rate, int64_t warmup_steps, int64_t steps, int64_t step) {
  if (step < warmup_steps) return warmup(rate, warmup_steps, step);
  const auto span = static_cast<double>(std::max<int64_t>(steps - warmup_steps, 1));
  const double done = std::min(1.0, static_cast<double>(step - warmup_steps) / span);
  return rate * 0.5 * (1 + std::cos(std::numbers::pi * done));
}

}  // namespace tenet::optim
