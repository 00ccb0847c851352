#include <tenet/nn/init.h>
#include <tenet/nn/layer_norm.h>
#include <tenet/ops/layer_norm.h>

namespace tenet::nn {

LayerNorm::LayerNorm(int64_t width, LayerNormOptions options) : options_(options) {
  check(width >= 1, "layer_norm: width is {}; it must be at least 1", width);
  weight = constant_parameter({width}, 1);
  bias = constant_parameter({width}, 0);
}

Tensor LayerNorm::operator()(const Tensor& x) const {
  return layer_norm(x, weight, bias, options_.epsilon);
}

void LayerNorm::fields(Fields& f) {
  f.parameter("weight", weight);
  f.parameter("bias", bias);
}

std::string LayerNorm::describe() const { return fmt::format("LayerNorm({})", weight.size(0)); }

}  // namespace tenet::nn
