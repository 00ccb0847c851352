#include "module_check.h"

#include <tenet/nn/layer_norm.h>

using namespace tenet;
using namespace tenet::test;

TEST_CASE("layer_norm normalises rows, scales and shifts") {
  nn::LayerNorm layer(9, {.epsilon = 1e-3});
  layer.weight = normal({9}, 1).set_requires_grad(true);
  layer.bias = normal({9}, 2).set_requires_grad(true);
  const Tensor x = normal({2, 4, 9}, 3);
  const Numbers in = x.to_vector<double>(), w = layer.weight.to_vector<double>(),
                b = layer.bias.to_vector<double>();
  Numbers want;
  for (size_t row = 0; row < 8; ++row) {
    double mean = 0, variance = 0;
    for (size_t c = 0; c < 9; ++c) mean += in[row * 9 + c] / 9;
    for (size_t c = 0; c < 9; ++c) variance += std::pow(in[row * 9 + c] - mean, 2) / 9;
    for (size_t c = 0; c < 9; ++c) {
      want.push_back((in[row * 9 + c] - mean) / std::sqrt(variance + 1e-3) * w[c] + b[c]);
    }
  }
  CHECK(error_of(layer(x), want) < 1e-6);
  CHECK(layer.describe() == "LayerNorm(9)");
  check_module_gradients("layer_norm", layer, x, [&](const Tensor& t) { return layer(t); });
}

TEST_CASE("layer_norm starts as ones and zeros") {
  const nn::LayerNorm layer(3);
  CHECK(layer.weight.to_vector<double>() == Numbers{1, 1, 1});
  CHECK(layer.bias.to_vector<double>() == Numbers{0, 0, 0});
  CHECK(parameter_names(layer) == Names{"weight", "bias"});
  CHECK_THROWS_WITH_AS(nn::LayerNorm(0), "layer_norm: width is 0; it must be at least 1", Error);
}
