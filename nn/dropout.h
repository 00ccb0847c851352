/// Dropout as a module: on in training, off in evaluation.
#pragma once

#include <tenet/nn/module.h>

namespace tenet::nn {

/// In training, each element is 0 with probability p, else x / (1 - p); in evaluation, x. Numbers
/// come from default_generator(). Error unless 0 <= p < 1.
class Dropout : public Module {
 public:
  explicit Dropout(double p);

  Tensor operator()(const Tensor& x) const;
  void fields(Fields&) override {}
  std::string describe() const override;

 private:
  double p_;
};

}  // namespace tenet::nn
