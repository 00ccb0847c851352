#include "module_check.h"

#include <tenet/nn/activation.h>
#include <tenet/ops/activation.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/softmax.h>

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
    case Activation::leaky_relu:
      return x < 0 ? 0.01 * x : x;
    case Activation::elu:
      return x < 0 ? std::expm1(x) : x;
    case Activation::selu:
      return 1.0507009873554805 * (x < 0 ? 1.6732632423543772 * std::expm1(x) : x);
    case Activation::softplus:
      return std::log1p(std::exp(x));
    case Activation::mish:
      return x * std::tanh(std::log1p(std::exp(x)));
    case Activation::hardswish:
      return x * std::clamp(x / 6 + 0.5, 0.0, 1.0);
    case Activation::gelu_10:
      return std::clamp(x * 0.5 * std::erfc(-x / std::numbers::sqrt2), -10.0, 10.0);
    case Activation::laplace:
      return 0.5 * (1 + std::erf((x - 0.707107) / (0.282095 * std::numbers::sqrt2)));
    case Activation::linear:
      return x;
    case Activation::quick_gelu:
      return x / (1 + std::exp(-1.702 * x));
    case Activation::relu2:
      return std::max(x, 0.0) * std::max(x, 0.0);
    case Activation::relu6:
      return std::clamp(x, 0.0, 6.0);
  }
  return 0;
}

}  // namespace

TEST_CASE("activations by name") {
  const Tensor x = mul(normal({100}, 1, DType::f64), 5);
  for (const char* name : {"relu", "gelu", "gelu_new", "silu", "tanh", "sigmoid", "leaky_relu",
                           "elu", "selu", "softplus", "mish", "hardswish", "gelu_10", "laplace",
                           "linear", "quick_gelu", "relu2", "relu6"}) {
    const Activation activation = nn::parse_activation(name);
    CHECK(nn::to_string(activation) == name);
    Numbers want;
    for (const double value : x.to_vector<double>()) want.push_back(reference(activation, value));
    CHECK_MESSAGE(error_of(nn::activate(x, activation), want) < 1e-12, name);
  }
  CHECK(nn::parse_activation("swish") == Activation::silu);
  CHECK(nn::parse_activation("gelu_python") == Activation::gelu);
  for (const char* name :
       {"gelu_tanh", "gelu_fast", "gelu_accurate", "gelu_python_tanh", "gelu_pytorch_tanh"}) {
    CHECK(nn::parse_activation(name) == Activation::gelu_tanh);
  }
}

TEST_CASE("an unknown activation is named") {
  CHECK_THROWS_WITH_AS(
      nn::parse_activation("maxout"),
      "activation: \"maxout\"; use relu, gelu, gelu_new, silu, tanh, sigmoid, "
      "leaky_relu, elu, selu, softplus, mish, hardswish, gelu_10, laplace, linear, "
      "quick_gelu, relu2 or relu6",
      Error);
}

namespace {

template <class M>
void check_form(const M& module, Tensor (*function)(const Tensor&)) {
  const Tensor x = normal({4, 6}, 2);
  CHECK_MESSAGE(same_bits(module(x), function(x)), module.describe());
  CHECK(module.parameter_count() == 0);
}

}  // namespace

TEST_CASE("activation modules are the functions") {
  check_form(nn::Relu(), relu);
  check_form(nn::Gelu(), gelu);
  check_form(nn::GeluTanh(), gelu_tanh);
  check_form(nn::Silu(), silu);
  check_form(nn::Tanh(), tenet::tanh);
  check_form(nn::Sigmoid(), sigmoid);
  check_form(nn::LogSigmoid(), log_sigmoid);
  check_form(nn::Softplus(), softplus);
  check_form(nn::Selu(), selu);
  check_form(nn::Mish(), mish);
  check_form(nn::Hardsigmoid(), hardsigmoid);
  check_form(nn::Hardswish(), hardswish);
  check_form(nn::LeakyRelu(0.3), [](const Tensor& x) { return leaky_relu(x, 0.3); });
  check_form(nn::Elu(2), [](const Tensor& x) { return elu(x, 2); });
  check_form(nn::Softmax(0), [](const Tensor& x) { return softmax(x, 0); });
  check_form(nn::LogSoftmax(), [](const Tensor& x) { return log_softmax(x); });
  check_form(nn::Glu(0), [](const Tensor& x) { return glu(x, 0); });
  CHECK(nn::LeakyRelu().describe() == "LeakyRelu(slope 0.01)");
  CHECK(nn::Softmax().describe() == "Softmax(axis -1)");
}
