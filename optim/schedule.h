/// Learning rates as functions of the step, which counts from 0.
#pragma once

#include <cstdint>

namespace tenet::optim {

/// rate * min(1, (step + 1) / warmup)
double warmup(double rate, int64_t warmup_steps, int64_t step);

/// rate at its highest, then falling with 1/sqrt(step): rate * min(1, s / w) * sqrt(w / max(s, w)), s = step + 1,
/// w = max(warmup, 1). The authors' multifactor schedule "constant * linear_warmup * rsqrt_decay" with constant =
/// rate * sqrt(w).
double inverse_sqrt(double rate, int64_t warmup_steps, int64_t step);

/// Linear warm-up to `rate`, then rate * (1 + cos(pi (step - warmup) / (steps - warmup))) / 2 down to 0.
double cosine(double rate, int64_t warmup_steps, int64_t steps, int64_t step);

}  // namespace tenet::optim
