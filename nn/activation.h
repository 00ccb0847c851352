/// Activation functions by name, and as modules.
#pragma once

#include <tenet/core/tensor.h>
#include <tenet/nn/module.h>
#include <tenet/ops/activation.h>

#include <string>
#include <string_view>

namespace tenet::nn {

/// An elementwise nonlinearity, by the name of its op or of its formula.
enum class Activation {
  relu,
  gelu,
  gelu_tanh,
  silu,
  tanh,
  sigmoid,
  leaky_relu,
  elu,
  selu,
  softplus,
  mish,
  hardswish,
  gelu_10,     // gelu within [-10, 10]
  laplace,     // (1 + erf((x - sqrt(1/2)) / (s sqrt(2)))) / 2, s = 0.282095
  linear,      // x
  quick_gelu,  // x sigmoid(1.702 x)
  relu2,       // relu(x)^2
  relu6        // relu within [0, 6]
};

/// The op of that name, with its default slope or alpha: any shape, which y has too.
Tensor activate(const Tensor& x, Activation activation);

/// The name that parse_activation() reads.
std::string_view to_string(Activation activation);

/// Hugging Face's names, all but those of activations with parameters (prelu, xielu), and elu,
/// selu, softplus, hardswish. gelu_python is gelu; gelu_new, gelu_fast, gelu_accurate,
/// gelu_python_tanh, gelu_pytorch_tanh and gelu_tanh are the tanh form. Error: another name.
Activation parse_activation(std::string_view name);

/// An op of one tensor as a module.
template <Tensor (*op)(const Tensor&)>
struct Pointwise : Module {
  /// op(x), of x's shape.
  Tensor operator()(const Tensor& x) const { return op(x); }
  void fields(Fields&) override {}  // there are none
};

/// The op of this name (ops/elementwise.h, ops/activation.h, ops/softmax.h) as a module.
struct Relu : Pointwise<tenet::relu> {};
struct Gelu : Pointwise<tenet::gelu> {};
struct GeluTanh : Pointwise<tenet::gelu_tanh> {};
struct Silu : Pointwise<tenet::silu> {};
struct Tanh : Pointwise<tenet::tanh> {};
struct Sigmoid : Pointwise<tenet::sigmoid> {};
struct LogSigmoid : Pointwise<tenet::log_sigmoid> {};
struct Softplus : Pointwise<tenet::softplus> {};
struct Selu : Pointwise<tenet::selu> {};
struct Mish : Pointwise<tenet::mish> {};
struct Hardsigmoid : Pointwise<tenet::hardsigmoid> {};
struct Hardswish : Pointwise<tenet::hardswish> {};
struct LeakyRelu : Module {
  double slope;  // below 0
  explicit LeakyRelu(double slope = 0.01) : slope(slope) {}
  Tensor operator()(const Tensor& x) const;
  void fields(Fields&) override {}
  std::string describe() const override;
};
struct Elu : Module {
  double alpha;  // the depth below 0
  explicit Elu(double alpha = 1) : alpha(alpha) {}
  Tensor operator()(const Tensor& x) const;
  void fields(Fields&) override {}
  std::string describe() const override;
};
struct Softmax : Module {
  int axis;  // along which a row adds up to 1
  explicit Softmax(int axis = -1) : axis(axis) {}
  Tensor operator()(const Tensor& x) const;
  void fields(Fields&) override {}
  std::string describe() const override;
};
struct LogSoftmax : Module {
  int axis;  // along which exp(y) adds up to 1
  explicit LogSoftmax(int axis = -1) : axis(axis) {}
  Tensor operator()(const Tensor& x) const;
  void fields(Fields&) override {}
  std::string describe() const override;
};
struct Glu : Module {
  int axis;  // which is cut in halves
  explicit Glu(int axis = -1) : axis(axis) {}
  Tensor operator()(const Tensor& x) const;
  void fields(Fields&) override {}
  std::string describe() const override;
};

}  // namespace tenet::nn
