#include <tenet/core/error.h>
#include <tenet/optim/schedule.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace tenet::optim {
namespace {

/// The share of the full rate that the warm-up allows.
double warmed(int64_t warmup_steps, int64_t step, const char* name) {
  check(warmup_steps >= 0 && step >= 0, "{}: step {} with {} warm-up steps; neither is negative",
        name, step, warmup_steps);
  if (step + 1 >= warmup_steps) return 1;
  return static_cast<double>(step + 1) / static_cast<double>(warmup_steps);
}

}  // namespace

double warmup(double rate, int64_t warmup_steps, int64_t step) {
  return rate * warmed(warmup_steps, step, "warmup");
}

double inverse_sqrt(double rate, int64_t warmup_steps, int64_t step) {
  const double w = static_cast<double>(std::max<int64_t>(warmup_steps, 1));
  return multifactor(rate * std::sqrt(w), warmup_steps, step);
}

double multifactor(double constant, int64_t warmup_steps, int64_t step) {
  const double t = static_cast<double>(std::max(step + 1, warmup_steps));
  return constant * warmed(warmup_steps, step, "multifactor") / std::sqrt(t);
}

double cosine(double rate, int64_t warmup_steps, int64_t steps, int64_t step, double final_rate) {
  const double up = warmed(warmup_steps, step, "cosine");
  if (step < warmup_steps) return rate * up;
  if (step >= steps) return final_rate;
  const double part =
      static_cast<double>(step - warmup_steps) / static_cast<double>(steps - warmup_steps);
  return final_rate + (rate - final_rate) * 0.5 * (1 + std::cos(std::numbers::pi * part));
}

}  // namespace tenet::optim
