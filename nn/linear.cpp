#include <fmt/format.h>

#include <tenet/nn/init.h>
#include <tenet/nn/linear.h>
#include <tenet/ops/matmul.h>

#include <cmath>

namespace tenet::nn {

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

}  // namespace tenet::nn
