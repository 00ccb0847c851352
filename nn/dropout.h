/// Dropout as a module: on in training, off in evaluation.
#pragma once

#include <tenet/nn/module.h>

namespace tenet::nn {

/// dropout(x, p) in training, x in evaluation. Numbers come from default_generator().
class Dropout : public Module {
 public:
  explicit Dropout(double p) : p_(p) {}

  Tensor operator()(const Tensor& x) const;
  void fields(Fields&) override {}

 private:
  double p_;
};

}  // namespace tenet::nn
