#include <tenet/core/error.h>
#include <tenet/nn/activation.h>
#include <tenet/ops/elementwise.h>

namespace tenet::nn {

Tensor activate(const Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::relu:
      return relu(x);
    case Activation::gelu:
      return gelu(x);
    case Activation::gelu_tanh:
      return gelu_tanh(x);
    case Activation::silu:
      return silu(x);
    case Activation::tanh:
      return tenet::tanh(x);
    case Activation::sigmoid:
      break;
  }
  return sigmoid(x);
}

std::string_view to_string(Activation activation) {
  switch (activation) {
    case Activation::relu:
      return "relu";
    case Activation::gelu:
      return "gelu";
    case Activation::gelu_tanh:
      return "gelu_new";
    case Activation::silu:
      return "silu";
    case Activation::tanh:
      return "tanh";
    case Activation::sigmoid:
      break;
  }
  return "sigmoid";
}

Activation parse_activation(std::string_view name) {
  if (name == "relu") return Activation::relu;
  if (name == "gelu") return Activation::gelu;
  if (name == "gelu_new" || name == "gelu_pytorch_tanh" || name == "gelu_tanh") {
    return Activation::gelu_tanh;
  }
  if (name == "silu" || name == "swish") return Activation::silu;
  if (name == "tanh") return Activation::tanh;
  check(name == "sigmoid", "activation: \"{}\"; use relu, gelu, gelu_new, silu, tanh or sigmoid",
        name);
  return Activation::sigmoid;
}

}  // namespace tenet::nn
