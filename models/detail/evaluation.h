/// A model in evaluation mode for the length of a scope.
#pragma once

#include <tenet/core/grad_mode.h>
#include <tenet/models/reformer.h>

namespace tenet::detail {

/// Puts the model in evaluation mode, under NoGrad, while it lives.
class Evaluation {
 public:
  explicit Evaluation(Reformer& model) : model_(model), training_(model.training()) {
    model_.train(false);
  }
  ~Evaluation() { model_.train(training_); }
  Evaluation(const Evaluation&) = delete;
  Evaluation& operator=(const Evaluation&) = delete;

 private:
  Reformer& model_;
  bool training_;
  NoGrad no_grad_;
};

}  // namespace tenet::detail
