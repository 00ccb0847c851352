#include <tenet/nn/conv2d.h>
#include <tenet/nn/init.h>

#include <cmath>

namespace tenet::nn {

Conv2d::Conv2d(int64_t in, int64_t out, Size2d kernel, Conv2dOptions options)
    : options_{options.stride, options.padding, options.dilation, options.groups} {
  const int64_t groups = options.groups;
  check(in >= 1 && out >= 1, "conv2d: channels {} and {} must be at least 1", in, out);
  check(groups >= 1 && in % groups == 0 && out % groups == 0,
        "conv2d: channels {} and {} are not {} equal groups", in, out, groups);
  check(kernel.height >= 1 && kernel.width >= 1, "conv2d: kernel is {}; it must be at least 1 x 1",
        kernel);
  Generator& generator = options.generator ? *options.generator : default_generator();
  const Shape shape{out, in / groups, kernel.height, kernel.width};
  const int64_t fan_in = shape[1] * shape[2] * shape[3];
  const double bound = 1 / std::sqrt(static_cast<double>(fan_in));
  weight = uniform_parameter(shape, bound, generator);
  if (options.bias) bias = uniform_parameter({out}, bound, generator);
}

Tensor Conv2d::operator()(const Tensor& x) const { return conv2d(x, weight, bias, options_); }

void Conv2d::fields(Fields& f) {
  f.parameter("weight", weight);
  f.parameter("bias", bias);
}

std::string Conv2d::describe() const {
  const auto part = [](const char* name, Size2d size, Size2d usual) {
    return size == usual ? std::string() : fmt::format(", {} {}", name, size);
  };
  return fmt::format("Conv2d({} -> {}, {}{}{}{}{}{})", weight.size(1) * options_.groups,
                     weight.size(0), Size2d(weight.size(2), weight.size(3)),
                     part("stride", options_.stride, 1), part("padding", options_.padding, 0),
                     part("dilation", options_.dilation, 1),
                     options_.groups == 1 ? "" : fmt::format(", {} groups", options_.groups),
                     bias.defined() ? "" : ", no bias");
}

}  // namespace tenet::nn
