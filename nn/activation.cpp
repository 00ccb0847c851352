#include <tenet/core/error.h>
#include <tenet/nn/activation.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/softmax.h>

#include <array>
#include <numbers>

namespace tenet::nn {
namespace {

struct Entry {
  Activation activation;
  std::string_view name;
  Tensor (*function)(const Tensor&);
};

Tensor gelu_10(const Tensor& x) { return clamp(gelu(x), -10, 10); }
Tensor laplace(const Tensor& x) {
  constexpr double mean = 0.707107, deviation = 0.282095;  // transformers' digits
  return 0.5 * (1 + erf((x - mean) / (deviation * std::numbers::sqrt2)));
}
Tensor linear(const Tensor& x) { return x; }
Tensor quick_gelu(const Tensor& x) { return x * sigmoid(1.702 * x); }
Tensor relu2(const Tensor& x) { return square(relu(x)); }
Tensor relu6(const Tensor& x) { return clamp(x, 0, 6); }

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
    Entry{Activation::gelu_10, "gelu_10", gelu_10},
    Entry{Activation::laplace, "laplace", laplace},
    Entry{Activation::linear, "linear", linear},
    Entry{Activation::quick_gelu, "quick_gelu", quick_gelu},
    Entry{Activation::relu2, "relu2", relu2},
    Entry{Activation::relu6, "relu6", relu6},
};

/// Other names of some of them.
constexpr std::pair<std::string_view, Activation> aliases[] = {
    {"swish", Activation::silu},
    {"gelu_python", Activation::gelu},
    {"gelu_tanh", Activation::gelu_tanh},
    {"gelu_fast", Activation::gelu_tanh},
    {"gelu_accurate", Activation::gelu_tanh},
    {"gelu_python_tanh", Activation::gelu_tanh},
    {"gelu_pytorch_tanh", Activation::gelu_tanh}};

const Entry& entry(Activation activation) { return table[static_cast<size_t>(activation)]; }

}  // namespace

Tensor activate(const Tensor& x, Activation activation) { return entry(activation).function(x); }

std::string_view to_string(Activation activation) { return entry(activation).name; }

Activation parse_activation(std::string_view name) {
  for (const auto& [alias, activation] : aliases) {
    if (name == alias) return activation;
  }
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
