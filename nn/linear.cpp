#include <fmt/format.h>

#include <tenet/nn/fields.h>
#include <tenet/nn/init.h>
#include <tenet/nn/linear.h>
#include <tenet/ops/matmul.h>

#include <cmath>

namespace tenet::nn {
namespace {

class RoundedLinears : public Fields {
 public:
  explicit RoundedLinears(DType dtype) : dtype_(dtype) {}

 protected:
  using Fields::visit;
  void visit(Module& module) override {
    if (auto* linear = dynamic_cast<Linear*>(&module)) {
      for (Tensor* x : {&linear->weight, &linear->bias}) {
        if (x->defined()) *x = x->detach().to(dtype_);
      }
    }
    Fields::visit(module);
  }

 private:
  DType dtype_;
};

}  // namespace

Linear::Linear(int64_t in, int64_t out, LinearOptions options) {
  check(in >= 1 && out >= 1, "linear: sizes {} and {} must be at least 1", in, out);
  Generator& generator = options.generator ? *options.generator : default_generator();
  const double bound = 1 / std::sqrt(static_cast<double>(in));
  weight = options.std > 0 ? normal_parameter({out, in}, options.std, generator)
                           : uniform_parameter({out, in}, bound, generator);
  if (!options.bias) return;
  bias =
      options.std > 0 ? constant_parameter({out}, 0) : uniform_parameter({out}, bound, generator);
}

Tensor Linear::operator()(const Tensor& x) const { return linear(x, weight, bias); }

void Linear::fields(Fields& f) {
  f.parameter("weight", weight);
  f.parameter("bias", bias);
}

std::string Linear::describe() const {
  return fmt::format("Linear({} -> {}{})", weight.size(1), weight.size(0),
                     bias.defined() ? "" : ", no bias");
}

void round_linears(Module& module, DType dtype) {
  check(is_floating(dtype), "round_linears: parameters cannot be {}; use a floating-point type",
        dtype);
  RoundedLinears fields(dtype);
  fields("", module);
}

}  // namespace tenet::nn
