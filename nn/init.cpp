#include <tenet/core/grad_mode.h>
#include <tenet/core/memory.h>
#include <tenet/nn/init.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/creation.h>

namespace tenet::nn {
namespace {

/// What make() gives, as a leaf counted as a parameter.
template <class Make>
Tensor parameter(Make&& make) {
  const NoGrad scope;
  const memory::Scope category(memory::Category::parameter);
  Tensor value = make();
  return value.set_requires_grad(true);
}

}  // namespace

Tensor normal_parameter(Shape shape, double std, Generator& generator) {
  return parameter([&] { return randn(shape, generator) * std; });
}

Tensor uniform_parameter(Shape shape, double bound, Generator& generator) {
  return parameter([&] { return (rand(shape, generator) * 2 - 1) * bound; });
}

Tensor constant_parameter(Shape shape, double value) {
  return parameter([&] { return full(shape, value); });
}

}  // namespace tenet::nn
