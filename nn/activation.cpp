#include <tenet/core/error.h>
#include <tenet/nn/activation.h>
#include <tenet/ops/softmax.h>

#include <array>

namespace tenet::nn {
namespace {

struct Entry {
  Activation activation;
  std::string_view name;
  Tensor (*function)(const Tensor&);
};

/// In the order of the enumeration.
constexpr std::array table{
    Entry{Activation::relu, "relu", tenet::relu},
    Entry{Activation::gelu, "gelu", tenet::gelu},
    Entry{Activation::gelu_tanh, "gelu_new", tenet::gelu_tanh},
    Entry{Activation::silu, "silu", tenet::silu},
    Entry{Activation::tanh, "tanh", tenet::tanh},
    Entry{Activation::sigmoid, "sigmoid", tenet::sigmoid},
    Entry{Activation::leaky_relu, "leaky_relu", [](const Tensor& x) { return leaky_relu(x); }},
    Entry{Activation::elu, "elu", [](const Tensor& x) { return elu(x); }},
    Entry{Activation::selu, "selu", tenet::selu},
    Entry{Activation::softplus, "softplus", tenet::softplus},
    Entry{Activation::mish, "mish", tenet::mish},
    Entry{Activation::hardswish, "hardswish", tenet::hardswish},
};

const Entry& entry(Activation activation) { return table[static_cast<size_t>(activation)]; }

}  // namespace

Tensor activate(const Tensor& x, Activation activation) { return entry(activation).function(x); }

std::string_view to_string(Activation activation) { return entry(activation).name; }

Activation parse_activation(std::string_view name) {
  if (name == "gelu_pytorch_tanh" || name == "gelu_tanh") return Activation::gelu_tanh;
  if (name == "swish") return Activation::silu;
  std::string names;
  for (const Entry& known : table) {
    if (known.name == name) return known.activation;
    if (!names.empty()) names += &known == &table.back() ? " or " : ", ";
    names += known.name;
  }
  fail("activation: \"{}\"; use {}", name, names);
}

Tensor LeakyRelu::operator()(const Tensor& x) const { return leaky_relu(x, slope); }
std::string LeakyRelu::describe() const { return fmt::format("LeakyRelu(slope {})", slope); }

Tensor Elu::operator()(const Tensor& x) const { return elu(x, alpha); }
std::string Elu::describe() const { return fmt::format("Elu(alpha {})", alpha); }

Tensor Softmax::operator()(const Tensor& x) const { return softmax(x, axis); }
std::string Softmax::describe() const { return fmt::format("Softmax(axis {})", axis); }

Tensor LogSoftmax::operator()(const Tensor& x) const { return log_softmax(x, axis); }
std::string LogSoftmax::describe() const { return fmt::format("LogSoftmax(axis {})", axis); }

Tensor Glu::operator()(const Tensor& x) const { return glu(x, axis); }
std::string Glu::describe() const { return fmt::format("Glu(axis {})", axis); }

}  // namespace tenet::nn
