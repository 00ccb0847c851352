/// A learning rate that follows a measure.
#pragma once

#include <cstdint>

namespace tenet::optim {

/// When ReduceOnPlateau lowers its rate, and by how much.
struct PlateauOptions {
  double factor = 0.1;            // what the rate is multiplied by
  int64_t patience = 10;          // measures in a row without an improvement that are let pass
  double threshold = 1e-4;        // the part of the best measure that an improvement exceeds
  int64_t cooldown = 0;           // measures after a change that are not counted as failures
  double final_rate = 0;          // the lowest rate
  bool larger_is_better = false;  // an accuracy, say; else a loss
};

/// Lowers the rate to max(final_rate, factor rate) when more than `patience` measures in a row have
/// not improved on the best one: better is below best (1 - threshold), or, if larger is better,
/// above best (1 + threshold). NaN is no improvement. As PyTorch's ReduceLROnPlateau.
///
///     optim::ReduceOnPlateau rate(1e-3);
///     optimizer.set_learning_rate(rate.update(validation_loss));
///
/// Errors: factor outside (0, 1), a negative count, threshold or rate.
class ReduceOnPlateau {
 public:
  explicit ReduceOnPlateau(double rate, PlateauOptions options = {});

  /// Takes the next measure and gives the rate from now on.
  double update(double measure);
  /// The rate, and the best measure so far.
  double rate() const { return rate_; }
  double best() const { return best_; }

 private:
  bool improves(double measure) const;

  PlateauOptions options_;
  double rate_, best_;
  int64_t failures_ = 0, cooling_ = 0;
};

}  // namespace tenet::optim
