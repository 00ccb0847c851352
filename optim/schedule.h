/// Learning rates as functions of the step. `step` counts from 0: the rate of the first step is
/// that of step 0.
///
///     optimizer.set_learning_rate(optim::cosine(1e-3, 100, 10000, optimizer.steps()));
///
/// A constant rate needs no function; warmup() and then constant is warmup(). A rate that follows a
/// measure is in plateau.h.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

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

/// Warm-up to `rate`, then (1 - part)^power of the way from `final_rate` to `rate`, where part goes
/// from 0 to 1 at `steps`; a straight line for power 1.
double polynomial(double rate, int64_t warmup_steps, int64_t steps, int64_t step, double power,
                  double final_rate = 0);
/// polynomial() with power 1.
double linear(double rate, int64_t warmup_steps, int64_t steps, int64_t step,
              double final_rate = 0);

/// rate factor^step.
double exponential(double rate, double factor, int64_t step);

/// rate factor^(step / every), rounded down. Error unless every is positive.
double step_decay(double rate, double factor, int64_t every, int64_t step);
/// rate times `factor` for each of the `milestones` that is reached.
double step_decay(double rate, double factor, const std::vector<int64_t>& milestones, int64_t step);

/// Half a cosine from `rate` to `final_rate` again and again; the first takes `period` steps, each
/// further one `factor` times as many. Loshchilov and Hutter, "SGDR" (2017).
double cosine_restarts(double rate, int64_t period, int64_t step, double factor = 1,
                       double final_rate = 0);

/// The shape of one_cycle().
struct OneCycleOptions {
  double rising = 0.3;           // the part of the steps that rise
  double start_divisor = 25;     // the first rate is peak / start_divisor
  double final_divisor = 10000;  // the last one is the first one divided by this
};

/// Half a cosine up to `peak`, then half a cosine down, over `steps` steps. Smith and Topin,
/// "Super-Convergence" (2018). Error unless steps is at least 1 and rising lies in [0, 1].
double one_cycle(double peak, int64_t steps, int64_t step, OneCycleOptions options = {});

/// min(0.01, 1 / sqrt(step + 1)), or with warm-up min(1e-6 (step + 1), ...): Adafactor's rate for
/// multiply_by_parameter_scale. Shazeer and Stern (2018), section 9.
double adafactor_rate(int64_t step, bool warm_up = false);

/// A rate as a function of the step, for chain().
using Schedule = std::function<double(int64_t step)>;

/// One schedule after another, each for so many steps of its own, counted from 0; the last goes on
/// for ever: chain({{1000, rise}, {5000, fall}, {0, stay}}). Error: no schedules, negative steps.
Schedule chain(std::vector<std::pair<int64_t, Schedule>> parts);

}  // namespace tenet::optim
