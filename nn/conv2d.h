/// Convolution of images.
#pragma once

#include <tenet/core/generator.h>
#include <tenet/nn/module.h>
#include <tenet/ops/conv2d.h>

#include <cstdint>

namespace tenet::nn {

/// What a Conv2d is made with.
struct Conv2dOptions {
  Size2d stride = 1, padding = 0, dilation = 1;  // in elements of x
  int64_t groups = 1;                            // into which both kinds of channels fall
  bool bias = true;                              // whether there is one
  Generator* generator = nullptr;  // of the initial weights; null: default_generator()
};

/// y = conv2d(x, weight, bias): (N, in, H, W) -> (N, out, H', W'). weight (out, in / groups, KH,
/// KW) and bias (out) start uniform on +-1 / sqrt(in / groups KH KW), as PyTorch's do.
class Conv2d : public Module {
 public:
  Conv2d(int64_t in, int64_t out, Size2d kernel, Conv2dOptions options = {});

  Tensor operator()(const Tensor& x) const;
  void fields(Fields& f) override;
  std::string describe() const override;

  Tensor weight, bias;  // (out, in / groups, KH, KW) and (out); no bias is an undefined one

 private:
  tenet::Conv2dOptions options_;
};

}  // namespace tenet::nn
