/// The size of gradients, and steps that are left out.
#pragma once

#include <tenet/optim/optimizer.h>

#include <cstdint>

namespace tenet::optim {

/// sqrt of the sum of squares of all gradients, added in f64 in a fixed order: the same bits for any number of threads.
double grad_norm(const NamedTensors& parameters);

/// Scales all gradients so that their norm is at most `limit`; returns the norm before. A norm that is not finite is
/// returned and nothing scaled.
double clip_grad_norm(const NamedTensors& parameters, double limit);

/// Steps an optimizer unless a gradient is not finite. Skipped steps are counted; ten in a row are an Error.
class StepGuard {
 public:
  /// Clips to `limit` (0: no limit) and steps. Returns whether the step was taken.
  bool step(Optimizer& optimizer, double limit);

  int64_t skipped() const { return skipped_; }
  int64_t skipped_in_a_row() const { return in_a_row_; }
  void restore(int64_t skipped, int64_t in_a_row) {
    skipped_ = skipped;
    in_a_row_ = in_a_row;
  }

 private:
  int64_t skipped_ = 0, in_a_row_ = 0;
};

}  // namespace tenet::optim
