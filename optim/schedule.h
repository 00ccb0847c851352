/// Learning rates as functions of the step. `step` counts from 0: the rate of the first step is
/// that of step 0.
#pragma once

#include <cstdint>

namespace tenet::optim {

/// rate min(1, (step + 1) / warmup_steps); constant if warmup_steps is 0.
double warmup(double rate, int64_t warmup_steps, int64_t step);

/// Warm-up to `rate`, then rate sqrt(warmup_steps / (step + 1)).
double inverse_sqrt(double rate, int64_t warmup_steps, int64_t step);

/// constant min(1, t / warmup_steps) / sqrt(max(t, warmup_steps)), t = step + 1: the schedule of
/// the Reformer's and the Transformer's authors. inverse_sqrt(rate, w) is multifactor(rate sqrt(w),
/// w).
double multifactor(double constant, int64_t warmup_steps, int64_t step);

/// Warm-up to `rate`, then half a cosine from `rate` down to `final_rate` at `steps`, and
/// `final_rate` from there on.
double cosine(double rate, int64_t warmup_steps, int64_t steps, int64_t step,
              double final_rate = 0);

}  // namespace tenet::optim
