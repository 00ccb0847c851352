/// The affine map.
#pragma once

#include <tenet/core/generator.h>
#include <tenet/nn/module.h>

#include <cstdint>

namespace tenet::nn {

/// What a Linear is made with.
struct LinearOptions {
  bool bias = true;                // whether there is one
  double std = 0;                  // weights N(0, std^2), bias 0; 0: both uniform on +-1/sqrt(in)
  Generator* generator = nullptr;  // of the initial weights; null: default_generator()
};

/// y = x weight^T + bias: (..., in) -> (..., out). weight (out, in), bias (out) or undefined.
class Linear : public Module {
 public:
  Linear(int64_t in, int64_t out, LinearOptions options = {});

  Tensor operator()(const Tensor& x) const;
  void fields(Fields& f) override;
  std::string describe() const override;

  Tensor weight, bias;  // (out, in) and (out); no bias is an undefined one
};

/// Rounds the weight and bias of every Linear of `module` to `dtype`, as Autocast(dtype) does for
/// each product: results under it keep their bits, and the weights take less memory and time to
/// read. For evaluation and generation: what is rounded has no gradient, and other handles to it
/// (tied weights, an optimizer's) keep what they have.
void round_linears(Module& module, DType dtype);

}  // namespace tenet::nn
