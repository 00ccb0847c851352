/// Layer normalisation over the last axis.
#pragma once

#include <tenet/nn/module.h>

#include <cstdint>

namespace tenet::nn {

/// What a LayerNorm is made with.
struct LayerNormOptions {
  double epsilon = 1e-5;  // added to the variance
};

/// y = (x - mean) / sqrt(var + epsilon) * weight + bias, biased variance: (..., D) -> (..., D).
class LayerNorm : public Module {
 public:
  explicit LayerNorm(int64_t width, LayerNormOptions options = {});

  Tensor operator()(const Tensor& x) const;
  void fields(Fields& f) override;
  std::string describe() const override;

  Tensor weight, bias;  // (D,), initially 1 and 0

 private:
  LayerNormOptions options_;
};

}  // namespace tenet::nn
