/// The derivatives are written twice: as scalar maths in functors.h for the one-pass kernels, and
/// below with ops, which can themselves be differentiated.
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/detail/unary.h>
#include <tenet/ops/elementwise.h>

#include <numbers>

namespace tenet {
namespace functor {

static Tensor derivative(Neg, const Tensor&, const Tensor& dy) { return neg(dy); }
static Tensor derivative(Abs, const Tensor& x, const Tensor& dy) { return dy * sign(x); }
static Tensor derivative(Sign, const Tensor&, const Tensor& dy) { return zeros_like(dy); }
static Tensor derivative(Exp, const Tensor& y, const Tensor& dy) { return dy * y; }
static Tensor derivative(Log, const Tensor& x, const Tensor& dy) { return dy / x; }
static Tensor derivative(Sqrt, const Tensor& y, const Tensor& dy) { return 0.5 * dy / y; }
static Tensor derivative(Rsqrt, const Tensor& y, const Tensor& dy) {
  return -0.5 * dy * (y * square(y));
}
static Tensor derivative(Square, const Tensor& x, const Tensor& dy) { return 2 * dy * x; }
static Tensor derivative(Reciprocal, const Tensor& y, const Tensor& dy) { return -dy * square(y); }
static Tensor derivative(Sin, const Tensor& x, const Tensor& dy) { return dy * cos(x); }
static Tensor derivative(Cos, const Tensor& x, const Tensor& dy) { return -dy * sin(x); }
static Tensor derivative(Tanh, const Tensor& y, const Tensor& dy) { return dy * (1 - square(y)); }
static Tensor derivative(Erf, const Tensor& x, const Tensor& dy) {
  return dy * (2 * std::numbers::inv_sqrtpi * exp(-square(x)));
}
static Tensor derivative(Sigmoid, const Tensor& y, const Tensor& dy) { return dy * (y * (1 - y)); }
static Tensor derivative(Relu, const Tensor& y, const Tensor& dy) { return where(y <= 0, 0, dy); }
static Tensor derivative(Gelu, const Tensor& x, const Tensor& dy) {
  const Tensor distribution = 0.5 + 0.5 * erf(x * (0.5 * std::numbers::sqrt2));
  const double scale = std::numbers::inv_sqrtpi / std::numbers::sqrt2;
  return dy * (distribution + x * (scale * exp(-0.5 * square(x))));
}
static Tensor derivative(GeluTanh, const Tensor& x, const Tensor& dy) {
  const Tensor xx = square(x);
  const Tensor t = tanh(GeluTanh::slope * (x + GeluTanh::cubic * (x * xx)));
  const Tensor inner = GeluTanh::slope * (1 + 3 * GeluTanh::cubic * xx);
  return dy * (0.5 * (1 + t) + 0.5 * x * (1 - square(t)) * inner);
}
static Tensor derivative(Silu, const Tensor& x, const Tensor& dy) {
  const Tensor s = sigmoid(x);
  return dy * (s * (1 + x * (1 - s)));
}
static Tensor derivative(Softplus, const Tensor& x, const Tensor& dy) { return dy * sigmoid(x); }
static Tensor derivative(Floor, const Tensor&, const Tensor& dy) { return zeros_like(dy); }
static Tensor derivative(Ceil, const Tensor&, const Tensor& dy) { return zeros_like(dy); }
static Tensor derivative(Round, const Tensor&, const Tensor& dy) { return zeros_like(dy); }
static Tensor derivative(const Clamp& f, const Tensor& x, const Tensor& dy) {
  return where(logical_or(x<f.low.value, x> f.high.value), 0, dy);
}

}  // namespace functor

using detail::unary;

Tensor neg(const Tensor& x) { return unary<functor::Neg>(x); }
Tensor abs(const Tensor& x) { return unary<functor::Abs>(x); }
Tensor sign(const Tensor& x) { return unary<functor::Sign>(x); }
Tensor exp(const Tensor& x) { return unary<functor::Exp>(x); }
Tensor log(const Tensor& x) { return unary<functor::Log>(x); }
Tensor sqrt(const Tensor& x) { return unary<functor::Sqrt>(x); }
Tensor rsqrt(const Tensor& x) { return unary<functor::Rsqrt>(x); }
Tensor square(const Tensor& x) { return unary<functor::Square>(x); }
Tensor reciprocal(const Tensor& x) { return unary<functor::Reciprocal>(x); }
Tensor sin(const Tensor& x) { return unary<functor::Sin>(x); }
Tensor cos(const Tensor& x) { return unary<functor::Cos>(x); }
Tensor tanh(const Tensor& x) { return unary<functor::Tanh>(x); }
Tensor erf(const Tensor& x) { return unary<functor::Erf>(x); }
Tensor sigmoid(const Tensor& x) { return unary<functor::Sigmoid>(x); }
Tensor relu(const Tensor& x) { return unary<functor::Relu>(x); }
Tensor gelu(const Tensor& x) { return unary<functor::Gelu>(x); }
Tensor gelu_tanh(const Tensor& x) { return unary<functor::GeluTanh>(x); }
Tensor silu(const Tensor& x) { return unary<functor::Silu>(x); }
Tensor softplus(const Tensor& x) { return unary<functor::Softplus>(x); }
Tensor floor(const Tensor& x) { return unary<functor::Floor>(x); }
Tensor ceil(const Tensor& x) { return unary<functor::Ceil>(x); }
Tensor round(const Tensor& x) { return unary<functor::Round>(x); }

Tensor clamp(const Tensor& x, Scalar low, Scalar high) {
  check(low.as_double() <= high.as_double(), "clamp: low {} is above high {}", low.as_double(),
        high.as_double());
  const DType type = promote(promote(x.dtype(), low, "clamp"), high, "clamp");
  functor::Clamp f;
  f.low = saturated(low, type);
  f.high = saturated(high, type);
  return unary(x.to(type), f);
}

Tensor isfinite(const Tensor& x) { return unary<functor::IsFinite>(x); }
Tensor isnan(const Tensor& x) { return unary<functor::IsNan>(x); }
Tensor logical_not(const Tensor& x) { return unary<functor::LogicalNot>(x); }

namespace {

const bool filled = detail::fill_unary_cpu(detail::UnaryFunctors());

}  // namespace
}  // namespace tenet
