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

/// How far `step` is on the way to `steps`, from 0 to 1.
double part_of(int64_t step, int64_t steps) {
  return step >= steps ? 1 : static_cast<double>(step) / static_cast<double>(steps);
}

/// Half a cosine from `from` at part 0 to `to` at part 1.
double between(double from, double to, double part) {
  return part >= 1 ? to : to + (from - to) * 0.5 * (1 + std::cos(std::numbers::pi * part));
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
  return between(rate, final_rate, part_of(step - warmup_steps, steps - warmup_steps));
}

double polynomial(double rate, int64_t warmup_steps, int64_t steps, int64_t step, double power,
                  double final_rate) {
  const double up = warmed(warmup_steps, step, "polynomial");
  if (step < warmup_steps) return rate * up;
  const double left = 1 - part_of(step - warmup_steps, steps - warmup_steps);
  return final_rate + (rate - final_rate) * std::pow(left, power);
}

double linear(double rate, int64_t warmup_steps, int64_t steps, int64_t step, double final_rate) {
  const double up = warmed(warmup_steps, step, "linear");
  if (step < warmup_steps) return rate * up;
  return rate + (final_rate - rate) * part_of(step - warmup_steps, steps - warmup_steps);
}

double exponential(double rate, double factor, int64_t step) {
  check(step >= 0, "exponential: step {} is negative", step);
  return rate * std::pow(factor, static_cast<double>(step));
}

double step_decay(double rate, double factor, int64_t every, int64_t step) {
  check(every > 0 && step >= 0, "step_decay: step {}, every {} steps; neither may be negative",
        step, every);
  return exponential(rate, factor, step / every);
}

double step_decay(double rate, double factor, const std::vector<int64_t>& milestones,
                  int64_t step) {
  const auto reached = std::count_if(milestones.begin(), milestones.end(),
                                     [&](int64_t milestone) { return step >= milestone; });
  return exponential(rate, factor, reached);
}

double cosine_restarts(double rate, int64_t period, int64_t step, double factor,
                       double final_rate) {
  check(period > 0 && factor >= 1 && step >= 0,
        "cosine_restarts: step {}, period {}, factor {}; the period is at least 1, the factor too",
        step, period, factor);
  double into = static_cast<double>(step), length = static_cast<double>(period);
  for (; into >= length && factor > 1; length *= factor) into -= length;
  return between(rate, final_rate, std::fmod(into, length) / length);
}

double one_cycle(double peak, int64_t steps, int64_t step, OneCycleOptions o) {
  check(steps >= 1 && step >= 0 && o.rising >= 0 && o.rising <= 1,
        "one_cycle: step {} of {}, rising for {} of them; that is a part from 0 to 1", step, steps,
        o.rising);
  const double first = peak / o.start_divisor, last = first / o.final_divisor;
  const double top = o.rising * static_cast<double>(steps) - 1, at = static_cast<double>(step);
  if (at < top) return between(first, peak, at / top);
  const double down = static_cast<double>(steps - 1) - top;
  return between(peak, last, down > 0 ? std::min((at - top) / down, 1.0) : 1);
}

double adafactor_rate(int64_t step, bool warm_up) {
  check(step >= 0, "adafactor_rate: step {} is negative", step);
  const double t = static_cast<double>(step) + 1;
  return std::min(warm_up ? 1e-6 * t : 1e-2, 1 / std::sqrt(t));
}

Schedule chain(std::vector<std::pair<int64_t, Schedule>> parts) {
  check(!parts.empty(), "chain: no schedules");
  for (const auto& [steps, schedule] : parts) {
    check(steps >= 0, "chain: a schedule for {} steps", steps);
  }
  return [parts = std::move(parts)](int64_t step) {
    size_t i = 0;
    for (; i + 1 < parts.size() && step >= parts[i].first; ++i) step -= parts[i].first;
    return parts[i].second(step);
  };
}

}  // namespace tenet::optim
