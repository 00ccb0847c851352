#include <tenet/core/error.h>
#include <tenet/optim/plateau.h>

#include <algorithm>
#include <limits>

namespace tenet::optim {

ReduceOnPlateau::ReduceOnPlateau(double rate, PlateauOptions options)
    : options_(options),
      rate_(rate),
      best_(options.larger_is_better ? -std::numeric_limits<double>::infinity()
                                     : std::numeric_limits<double>::infinity()) {
  check(options.factor > 0 && options.factor < 1,
        "reduce_on_plateau: factor is {}; it must lie between 0 and 1", options.factor);
  check(options.patience >= 0 && options.cooldown >= 0,
        "reduce_on_plateau: patience is {} and cooldown {}; neither may be negative",
        options.patience, options.cooldown);
  check(rate >= 0 && options.final_rate >= 0 && options.threshold >= 0,
        "reduce_on_plateau: rate is {}, final_rate {} and threshold {}; none may be negative", rate,
        options.final_rate, options.threshold);
}

bool ReduceOnPlateau::improves(double measure) const {
  return options_.larger_is_better ? measure > best_ * (1 + options_.threshold)
                                   : measure < best_ * (1 - options_.threshold);
}

double ReduceOnPlateau::update(double measure) {
  if (improves(measure)) {
    best_ = measure;
    failures_ = 0;
  } else {
    ++failures_;
  }
  if (cooling_ > 0) {
    --cooling_;
    failures_ = 0;
  }
  if (failures_ > options_.patience) {
    rate_ = std::max(options_.final_rate, rate_ * options_.factor);
    cooling_ = options_.cooldown;
    failures_ = 0;
  }
  return rate_;
}

}  // namespace tenet::optim
