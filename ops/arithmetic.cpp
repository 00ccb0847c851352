#include <tenet/ops/arithmetic.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/detail/unary.h>

#include <cmath>

namespace tenet {
namespace functor {

static Tensor derivative(const Right<Add>&, const Tensor&, const Tensor& dy) { return dy; }
static Tensor derivative(const Right<Sub>&, const Tensor&, const Tensor& dy) { return dy; }
static Tensor derivative(const Left<Sub>&, const Tensor&, const Tensor& dy) { return neg(dy); }
static Tensor derivative(const Right<Mul>& f, const Tensor&, const Tensor& dy) {
  return dy * f.number.value;
}
static Tensor derivative(const Right<Div>& f, const Tensor&, const Tensor& dy) {
  return dy / f.number.value;
}
static Tensor derivative(const Left<Div>& f, const Tensor& x, const Tensor& dy) {
  return -(dy / x) * (f.number.value / x);
}
static Tensor derivative(const Right<Pow>& f, const Tensor& x, const Tensor& dy) {
  const double b = f.number.value;
  return b == 0 ? zeros_like(dy) : dy * (b * pow(x, b - 1));
}
static Tensor derivative(const Left<Pow>& f, const Tensor& x, const Tensor& dy) {
  const double a = f.number.value;
  if (a == 0) return where(x >= 0, 0, dy * (pow(a, x) * std::log(a)));
  return dy * (pow(a, x) * std::log(a));
}
static Tensor chosen(const Tensor& first, const Tensor& equals, const Tensor& dy) {
  return where(equals, 0.5 * dy, where(first, dy, 0));
}
static Tensor derivative(const Right<Maximum>& f, const Tensor& x, const Tensor& dy) {
  return chosen(logical_or(x > f.number.value, isnan(x)), equal(x, f.number.value), dy);
}
static Tensor derivative(const Right<Minimum>& f, const Tensor& x, const Tensor& dy) {
  return chosen(logical_or(x < f.number.value, isnan(x)), equal(x, f.number.value), dy);
}

/// da or db of the binary functors that have a backward kernel, with ops.
static Tensor derivative(Div, const Tensor& a, const Tensor& b, const Tensor& dy, bool second) {
  return second ? -(dy / b) * (a / b) : dy / b;
}
static Tensor derivative(Pow, const Tensor& a, const Tensor& b, const Tensor& dy, bool second) {
  if (!second) return where(equal(b, 0), 0, dy * (b * pow(a, b - 1)));
  return where(logical_and(equal(a, 0), b >= 0), 0, dy * (pow(a, b) * log(a)));
}
static Tensor derivative(Maximum, const Tensor& a, const Tensor& b, const Tensor& dy, bool second) {
  const Tensor first = logical_or(a > b, isnan(a));
  return chosen(second ? logical_not(first) : first, equal(a, b), dy);
}
static Tensor derivative(Minimum, const Tensor& a, const Tensor& b, const Tensor& dy, bool second) {
  const Tensor first = logical_or(a < b, isnan(a));
  return chosen(second ? logical_not(first) : first, equal(a, b), dy);
}

}  // namespace functor

namespace {

using detail::unary;

/// y = a + b; da = db = dy.
struct AddNode : Node {
  Tensors backward(const Tensors& dy) override { return {dy[0], dy[0]}; }
};

/// y = a - b; da = dy, db = -dy.
struct SubNode : Node {
  Tensors backward(const Tensors& dy) override {
    return {dy[0], needs_grad(1) ? neg(dy[0]) : Tensor()};
  }
};

/// y = a b; da = dy b, db = dy a.
struct MulNode : Node {
  Saved a, b;
  Tensors backward(const Tensors& dy) override {
    return {needs_grad(0) ? dy[0] * b.get(*this) : Tensor(),
            needs_grad(1) ? dy[0] * a.get(*this) : Tensor()};
  }
  void saved(SavedFields& f) override { f("a", a), f("b", b); }
};

/// y = F(a, b) with F's own da and db.
template <class F>
struct BinaryNode : Node {
  Saved a, b;
  Tensors backward(const Tensors& dy) override {
    return {gradient(dy[0], false), gradient(dy[0], true)};
  }
  void saved(SavedFields& f) override { f("a", a), f("b", b); }

 private:
  Tensor gradient(const Tensor& dy, bool second) {
    if (!needs_grad(second)) return {};
    const Tensor x = a.get(*this), y = b.get(*this);
    if (grad_enabled()) return derivative(F(), x, y, dy, second);
    Tensor dx = empty_like(dy);
    detail::binary_backward_kernel<F>(dx.device(), view(dx), broadcast_to(view(x), dx.shape()),
                                      broadcast_to(view(y), dx.shape()), view(dy), second);
    return dx;
  }
};

template <class F>
struct NodeOf {
  using Type = BinaryNode<F>;
};
template <>
struct NodeOf<functor::Add> {
  using Type = AddNode;
};
template <>
struct NodeOf<functor::Sub> {
  using Type = SubNode;
};
template <>
struct NodeOf<functor::Mul> {
  using Type = MulNode;
};

void check_devices(const Tensor& a, const Tensor& b, const char* op) {
  check(a.device() == b.device(), "{}: operands are on {} and {}; move one with .to(device)", op,
        a.device(), b.device());
}

template <class F>
Tensor binary(const Tensor& first, const Tensor& second) {
  check_devices(first, second, F::name);
  DType type = promote(first.dtype(), second.dtype(), F::name);
  if constexpr (std::is_same_v<typename F::Types, FloatTypes>) type = promote(type, 1.0, F::name);
  const Tensor a = first.to(type), b = second.to(type);
  const Shape shape = a.shape() == b.shape() ? a.shape() : broadcast(a.shape(), b.shape(), F::name);
  Tensor y = empty(shape, {F::predicate ? DType::boolean : type, a.device()});
  detail::binary_kernel<F>(a.device(), view(y), broadcast_to(view(a), shape),
                           broadcast_to(view(b), shape));
  if constexpr (!F::predicate) {
    using N = typename NodeOf<F>::Type;
    if (auto* node = record<N>(F::name, y, a, b)) {
      if constexpr (requires { node->a; }) {
        node->a = a;
        node->b = b;
      }
    }
  }
  return y;
}

/// The functor F, Right<...> or Left<...>, of x and a number. A comparison with a number that x's
/// type cannot hold is one of 64-bit integers.
template <class F>
Tensor with_number(const Tensor& x, const Scalar& number) {
  F f;
  f.number = number;
  DType type = promote(x.dtype(), number, F::name);
  const bool fits = saturated(number, type).as_int64() == number.as_int64();
  if (F::predicate && !fits) type = DType::i64;
  return unary(x.to(type), f);
}

/// maximum() or minimum() with a number, or with the nearest one that x's type can hold.
template <class F>
Tensor with_bound(const Tensor& x, const Scalar& bound) {
  return with_number<F>(x, saturated(bound, promote(x.dtype(), bound, F::name)));
}

template <class F>
void binary_cpu(View y, View a, View b) {
  dispatch(typename F::Types(), a.dtype, F::name, [&]<class T>() {
    using Y = std::conditional_t<F::predicate, bool, T>;
    detail::map<Y, T, T>(y, {a, b}, detail::Value<F>());
  });
}

template <class F>
void binary_backward_cpu(View dx, View a, View b, View dy, bool second) {
  dispatch(FloatTypes(), dx.dtype, F::name, [&]<class T>() {
    if (second) {
      detail::map<T, T, T, T>(dx, {a, b, dy},
                              [](auto u, auto v, auto d) { return F().db(u, v, d); });
    } else {
      detail::map<T, T, T, T>(dx, {a, b, dy},
                              [](auto u, auto v, auto d) { return F().da(u, v, d); });
    }
  });
}

void where_cpu(View y, View condition, View a, View b) {
  dispatch(AllTypes(), y.dtype, "where", [&]<class T>() {
    detail::map<T, bool, T, T>(y, {condition, a, b},
                               [](bool c, auto u, auto v) { return c ? u : v; });
  });
}

/// y = c ? a : b; da = c ? dy : 0, db = c ? 0 : dy.
struct WhereNode : Node {
  Saved condition;
  Tensors backward(const Tensors& dy) override {
    const Tensor c = condition.get(*this);
    return {needs_grad(0) ? where(c, dy[0], 0) : Tensor(),
            needs_grad(1) ? where(c, 0, dy[0]) : Tensor()};
  }
  void saved(SavedFields& f) override { f("condition", condition); }
};

}  // namespace

Tensor add(const Tensor& a, const Tensor& b) { return binary<functor::Add>(a, b); }
Tensor add(const Tensor& a, Scalar b) { return with_number<functor::Right<functor::Add>>(a, b); }
Tensor add(Scalar a, const Tensor& b) { return add(b, a); }
Tensor sub(const Tensor& a, const Tensor& b) { return binary<functor::Sub>(a, b); }
Tensor sub(const Tensor& a, Scalar b) { return with_number<functor::Right<functor::Sub>>(a, b); }
Tensor sub(Scalar a, const Tensor& b) { return with_number<functor::Left<functor::Sub>>(b, a); }
Tensor mul(const Tensor& a, const Tensor& b) { return binary<functor::Mul>(a, b); }
Tensor mul(const Tensor& a, Scalar b) { return with_number<functor::Right<functor::Mul>>(a, b); }
Tensor mul(Scalar a, const Tensor& b) { return mul(b, a); }
Tensor div(const Tensor& a, const Tensor& b) { return binary<functor::Div>(a, b); }
Tensor div(const Tensor& a, Scalar b) { return with_number<functor::Right<functor::Div>>(a, b); }
Tensor div(Scalar a, const Tensor& b) { return with_number<functor::Left<functor::Div>>(b, a); }
Tensor pow(const Tensor& a, const Tensor& b) { return binary<functor::Pow>(a, b); }
Tensor pow(const Tensor& a, Scalar b) {
  const DType type = promote(a.dtype(), b, "pow");
  check(is_floating(type) || b.as_int64() >= 0,
        "pow: {} to the power {} is not an integer; convert to a float first", a.dtype(),
        b.as_int64());
  if (b.as_double() == 2 && a.dtype() != DType::boolean) return square(a.to(type));
  return with_number<functor::Right<functor::Pow>>(a, b);
}
Tensor pow(Scalar a, const Tensor& b) { return with_number<functor::Left<functor::Pow>>(b, a); }
Tensor maximum(const Tensor& a, const Tensor& b) { return binary<functor::Maximum>(a, b); }
Tensor maximum(const Tensor& a, Scalar b) {
  return with_bound<functor::Right<functor::Maximum>>(a, b);
}
Tensor minimum(const Tensor& a, const Tensor& b) { return binary<functor::Minimum>(a, b); }
Tensor minimum(const Tensor& a, Scalar b) {
  return with_bound<functor::Right<functor::Minimum>>(a, b);
}

Tensor equal(const Tensor& a, const Tensor& b) { return binary<functor::Equal>(a, b); }
Tensor equal(const Tensor& a, Scalar b) {
  return with_number<functor::Right<functor::Equal>>(a, b);
}
Tensor not_equal(const Tensor& a, const Tensor& b) { return binary<functor::NotEqual>(a, b); }
Tensor not_equal(const Tensor& a, Scalar b) {
  return with_number<functor::Right<functor::NotEqual>>(a, b);
}
Tensor less(const Tensor& a, const Tensor& b) { return binary<functor::Less>(a, b); }
Tensor less(const Tensor& a, Scalar b) { return with_number<functor::Right<functor::Less>>(a, b); }
Tensor less_equal(const Tensor& a, const Tensor& b) { return binary<functor::LessEqual>(a, b); }
Tensor less_equal(const Tensor& a, Scalar b) {
  return with_number<functor::Right<functor::LessEqual>>(a, b);
}
Tensor greater(const Tensor& a, const Tensor& b) { return binary<functor::Greater>(a, b); }
Tensor greater(const Tensor& a, Scalar b) {
  return with_number<functor::Right<functor::Greater>>(a, b);
}
Tensor greater_equal(const Tensor& a, const Tensor& b) {
  return binary<functor::GreaterEqual>(a, b);
}
Tensor greater_equal(const Tensor& a, Scalar b) {
  return with_number<functor::Right<functor::GreaterEqual>>(a, b);
}
Tensor logical_and(const Tensor& a, const Tensor& b) { return binary<functor::LogicalAnd>(a, b); }
Tensor logical_or(const Tensor& a, const Tensor& b) { return binary<functor::LogicalOr>(a, b); }

Tensor where(const Tensor& condition, const Tensor& first, const Tensor& second) {
  check(condition.dtype() == DType::boolean, "where: the condition is {}; it must be boolean",
        condition.dtype());
  check_devices(first, second, "where");
  check_devices(condition, first, "where");
  const DType type = promote(first.dtype(), second.dtype(), "where");
  const Tensor a = first.to(type), b = second.to(type);
  const Shape shape =
      broadcast(condition.shape(), broadcast(a.shape(), b.shape(), "where"), "where");
  Tensor y = empty(shape, {type, a.device()});
  detail::where_kernel(a.device(), view(y), broadcast_to(view(condition), shape),
                       broadcast_to(view(a), shape), broadcast_to(view(b), shape));
  if (auto* node = record<WhereNode>("where", y, a, b)) node->condition = condition;
  return y;
}
Tensor where(const Tensor& condition, const Tensor& a, Scalar b) {
  const Tensor x = a.to(promote(a.dtype(), b, "where"));
  return where(condition, x, scalar(b, {x.dtype(), x.device()}));
}
Tensor where(const Tensor& condition, Scalar a, const Tensor& b) {
  const Tensor x = b.to(promote(b.dtype(), a, "where"));
  return where(condition, scalar(a, {x.dtype(), x.device()}), x);
}

namespace detail {

constinit Kernel<void(View y, View condition, View a, View b)> where_kernel{"where"};

}  // namespace detail

namespace {

template <class... F>
bool fill_binary(TypeList<F...>) {
  return (detail::binary_kernel<F>.fill(Device::Kind::cpu, &binary_cpu<F>) && ...);
}
template <class... F>
bool fill_binary_backward(TypeList<F...>) {
  return (detail::binary_backward_kernel<F>.fill(Device::Kind::cpu, &binary_backward_cpu<F>) &&
          ...);
}

const bool filled = fill_binary(detail::BinaryFunctors()) &&
                    fill_binary_backward(detail::BinaryBackwardFunctors()) &&
                    detail::fill_unary_cpu(detail::ScalarFunctors()) &&
                    detail::where_kernel.fill(Device::Kind::cpu, &where_cpu);

}  // namespace
}  // namespace tenet
