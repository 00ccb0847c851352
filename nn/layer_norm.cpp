#include <tenet/nn/init.h>
#include <tenet/nn/layer_norm.h>
#include <tenet/ops/layer_norm.h>

namespace tenet::nn {

LayerNorm::LayerNorm(int64_t width, LayerNormOptions options)
    : weight(constant_parameter({width}, 1)), bias(constant_parameter({width}, 0)), options_(options) {}

Tensor LayerNorm::operator()(const Tensor& x) const {
  return layer_norm(x, weight, bias, options_.epsilon);
}

void LayerNorm::fields(Fields& f) {
  f.parameter("weight", weight);
  f.parameter("bias", bias);
}

}  // namespace tenet::nn
