/// Keeping gradients within bounds.
#pragma once

#include <tenet/core/late_read.h>
#include <tenet/optim/optimizer.h>

#include <optional>

namespace tenet::optim {

/// The Euclidean norm of all gradients together, added up in f64 in an order that threads do not
/// change. Parameters without a gradient count as zero. NaN or infinite if an element is.
double gradient_norm(const std::vector<Tensor>& parameters);

/// Scales the gradients so that their norm is at most `max_norm`; gives the norm before. A norm
/// that is not finite changes nothing. Error unless max_norm is positive.
double clip_grad_norm(const std::vector<Tensor>& parameters, double max_norm);

/// Multiplies every gradient by `factor`.
void scale_gradients(const std::vector<Tensor>& parameters, double factor);

/// Takes an optimizer's steps, but not those whose gradients are not finite.
class StepGuard {
 public:
  explicit StepGuard(int64_t most_in_a_row = 10) : most_in_a_row_(most_in_a_row) {}

  /// Clips to max_norm (0: no clipping) and steps, or skips and counts the step if the norm is not
  /// finite. Gives the norm. Error at the most_in_a_row-th skipped step in a row.
  double step(Optimizer& optimizer, double max_norm = 0);

  /// The same without waiting for the norm: on a GPU, the norm is looked at there and arrives
  /// later. Gives the norm of the step before, once it was taken so and not settled; that step is
  /// counted, and the Error raised, now.
  std::optional<double> step_later(Optimizer& optimizer, double max_norm = 0);
  /// Waits for the step that step_later() took last, if there is one, and gives its norm.
  std::optional<double> settle();

  /// How many steps were skipped in all, and how many since the last one that was taken.
  int64_t skipped() const { return skipped_; }
  int64_t skipped_in_a_row() const { return skipped_in_a_row_; }
  /// Goes on counting from a saved run.
  void restore(int64_t skipped, int64_t skipped_in_a_row) {
    skipped_ = skipped;
    skipped_in_a_row_ = skipped_in_a_row;
  }

 private:
  void count(double norm);

  int64_t most_in_a_row_;
  int64_t skipped_ = 0, skipped_in_a_row_ = 0;
  LateRead norm_;                 // of the step that is not settled
  Optimizer* stepped_ = nullptr;  // that took it
};

}  // namespace tenet::optim
