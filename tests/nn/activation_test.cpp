#include "module_check.h"

#include <tenet/nn/activation.h>

#include <numbers>

using namespace tenet;
using namespace tenet::test;
using nn::Activation;

namespace {

double reference(Activation activation, double x) {
  switch (activation) {
    case Activation::relu:
      return std::max(x, 0.0);
    case Activation::gelu:
      return x * 0.5 * std::erfc(-x / std::numbers::sqrt2);
    case Activation::gelu_tanh:
      return 0.5 * x *
             (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
    case Activation::silu:
      return x / (1 + std::exp(-x));
    case Activation::tanh:
      return std::tanh(x);
    case Activation::sigmoid:
      return 1 / (1 + std::exp(-x));
  }
  return 0;
}

}  // namespace

TEST_CASE("activations by name") {
  const Tensor x = normal({100}, 1, DType::f64);
  for (const char* name : {"relu", "gelu", "gelu_new", "silu", "tanh", "sigmoid"}) {
    const Activation activation = nn::parse_activation(name);
    CHECK(nn::to_string(activation) == name);
    Numbers want;
    for (const double value : x.to_vector<double>()) want.push_back(reference(activation, value));
    CHECK_MESSAGE(error_of(nn::activate(x, activation), want) < 1e-12, name);
  }
  CHECK(nn::parse_activation("swish") == Activation::silu);
  CHECK(nn::parse_activation("gelu_pytorch_tanh") == Activation::gelu_tanh);
}

TEST_CASE("an unknown activation is named") {
  CHECK_THROWS_WITH_AS(nn::parse_activation("mish"),
                       "activation: \"mish\"; use relu, gelu, gelu_new, silu, tanh or sigmoid",
                       Error);
}
