#include <tenet/ops/activation.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/detail/unary.h>
#include <tenet/ops/views.h>

namespace tenet {
namespace functor {

static Tensor derivative(const LeakyRelu& f, const Tensor& x, const Tensor& dy) {
  return where(x > 0, dy, f.slope.value * dy);
}
static Tensor derivative(const Elu& f, const Tensor& x, const Tensor& dy) {
  return where(x > 0, dy, dy * (f.alpha.value * exp(minimum(x, 0))));
}
static Tensor derivative(Selu, const Tensor& x, const Tensor& dy) {
  return Selu::scale * where(x > 0, dy, dy * (Selu::alpha * exp(minimum(x, 0))));
}
static Tensor derivative(Hardsigmoid, const Tensor& x, const Tensor& dy) {
  return where(abs(x) < 3, dy / 6, 0);
}
static Tensor derivative(Hardswish, const Tensor& x, const Tensor& dy) {
  return where(x <= -3, 0, where(x >= 3, dy, dy * (x / 3 + 0.5)));
}
static Tensor derivative(Mish, const Tensor& x, const Tensor& dy) {
  const Tensor t = tanh(softplus(x));
  return dy * (t + x * (sigmoid(x) * (1 - square(t))));
}
static Tensor derivative(LogSigmoid, const Tensor& x, const Tensor& dy) { return dy * sigmoid(-x); }

}  // namespace functor

using detail::unary;

Tensor leaky_relu(const Tensor& x, double slope) {
  functor::LeakyRelu f;
  f.slope = Scalar(slope);
  return unary(x, f);
}

Tensor elu(const Tensor& x, double alpha) {
  functor::Elu f;
  f.alpha = Scalar(alpha);
  return unary(x, f);
}

Tensor selu(const Tensor& x) { return unary<functor::Selu>(x); }
Tensor hardsigmoid(const Tensor& x) { return unary<functor::Hardsigmoid>(x); }
Tensor hardswish(const Tensor& x) { return unary<functor::Hardswish>(x); }
Tensor mish(const Tensor& x) { return unary<functor::Mish>(x); }
Tensor log_sigmoid(const Tensor& x) { return unary<functor::LogSigmoid>(x); }

Tensor glu(const Tensor& x, int axis) {
  const int64_t size = x.size(axis);
  check(size % 2 == 0, "glu: axis {} of shape {} has odd size {}", axis, x.shape(), size);
  return slice(x, axis, 0, size / 2) * sigmoid(slice(x, axis, size / 2, size));
}

namespace {

const bool filled = detail::fill_unary_cpu(detail::ActivationFunctors());

}  // namespace
}  // namespace tenet
