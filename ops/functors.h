/// The scalar maths of the elementwise ops, once, for the CPU and CUDA: value and derivative side
/// by side.
///
/// A unary functor has y(x) and, unless its derivative is a constant, dx(saved, dy), where `saved`
/// is x or y as `saves` says. A binary functor has y(a, b) and may have da(a, b, dy) and db(a, b,
/// dy). Half types are computed as float.
#pragma once

#include <tenet/core/dtype.h>
#include <tenet/core/macros.h>
#include <tenet/ops/detail/math.h>

#include <type_traits>

namespace tenet::functor {

/// What a unary functor's dx() reads beside dy. With `nothing`, the gradient is made of other ops.
enum class Saves { nothing, x, y };

template <class T>
struct WrappingOf {
  using Type = T;
};
template <class T>
requires(std::is_integral_v<T> && !std::is_same_v<T, bool>) struct WrappingOf<T> {
  using Type = std::make_unsigned_t<T>;
};
/// The type in which arithmetic on T wraps around: unsigned for integers, T itself otherwise.
template <class T>
using Wrapping = typename WrappingOf<T>::Type;

template <class T>
TENET_HD bool is_nan(T x) {
  return x != x;
}

/// Types of functions of real numbers; of arithmetic; of truth values.
struct Real {
  using Types = FloatTypes;
  static constexpr bool predicate = false;
};
struct Number {
  using Types = NumberTypes;
  static constexpr bool predicate = false;
};
struct NumberOrBoolean {
  using Types = AllTypes;
  static constexpr bool predicate = false;
};
struct Predicate {
  using Types = AllTypes;
  static constexpr bool predicate = true;
  static constexpr Saves saves = Saves::nothing;
};

// --- Unary -------------------------------------------------------------------

struct Neg : Number {
  static constexpr const char* name = "neg";
  static constexpr Saves saves = Saves::nothing;
  template <class T>
  TENET_HD T y(T x) const {
    return T(-Wrapping<T>(x));
  }
};

struct Abs : Number {
  static constexpr const char* name = "abs";
  static constexpr Saves saves = Saves::x;
  template <class T>
  TENET_HD T y(T x) const {
    if constexpr (std::is_floating_point_v<T>)
      return math::abs(x);
    else
      return x < T(0) ? T(-Wrapping<T>(x)) : x;
  }
  template <class T>
  TENET_HD T dx(T x, T dy) const {
    return x > T(0) ? dy : x < T(0) ? -dy : T(0);
  }
};

struct Sign : Number {
  static constexpr const char* name = "sign";
  static constexpr Saves saves = Saves::nothing;
  template <class T>
  TENET_HD T y(T x) const {
    return x > T(0) ? T(1) : x < T(0) ? T(-1) : x;
  }
};

struct Exp : Real {
  static constexpr const char* name = "exp";
  static constexpr Saves saves = Saves::y;
  template <class T>
  TENET_HD T y(T x) const {
    return math::exp(x);
  }
  template <class T>
  TENET_HD T dx(T y, T dy) const {
    return dy * y;
  }
};

struct Log : Real {
  static constexpr const char* name = "log";
  static constexpr Saves saves = Saves::x;
  template <class T>
  TENET_HD T y(T x) const {
    return math::log(x);
  }
  template <class T>
  TENET_HD T dx(T x, T dy) const {
    return dy / x;
  }
};

struct Sqrt : Real {
  static constexpr const char* name = "sqrt";
  static constexpr Saves saves = Saves::y;
  template <class T>
  TENET_HD T y(T x) const {
    return math::sqrt(x);
  }
  template <class T>
  TENET_HD T dx(T y, T dy) const {
    return T(0.5) * dy / y;
  }
};

struct Rsqrt : Real {
  static constexpr const char* name = "rsqrt";
  static constexpr Saves saves = Saves::y;
  template <class T>
  TENET_HD T y(T x) const {
    return T(1) / math::sqrt(x);
  }
  template <class T>
  TENET_HD T dx(T y, T dy) const {
    return T(-0.5) * dy * (y * y * y);
  }
};

struct Square : Number {
  static constexpr const char* name = "square";
  static constexpr Saves saves = Saves::x;
  template <class T>
  TENET_HD T y(T x) const {
    if constexpr (sizeof(T) < sizeof(int))
      return T(unsigned(x) * unsigned(x));
    else
      return T(Wrapping<T>(x) * Wrapping<T>(x));
  }
  template <class T>
  TENET_HD T dx(T x, T dy) const {
    return T(2) * dy * x;
  }
};

struct Reciprocal : Real {
  static constexpr const char* name = "reciprocal";
  static constexpr Saves saves = Saves::y;
  template <class T>
  TENET_HD T y(T x) const {
    return T(1) / x;
  }
  template <class T>
  TENET_HD T dx(T y, T dy) const {
    return -dy * (y * y);
  }
};

struct Sin : Real {
  static constexpr const char* name = "sin";
  static constexpr Saves saves = Saves::x;
  template <class T>
  TENET_HD T y(T x) const {
    return math::sin(x);
  }
  template <class T>
  TENET_HD T dx(T x, T dy) const {
    return dy * math::cos(x);
  }
};

struct Cos : Real {
  static constexpr const char* name = "cos";
  static constexpr Saves saves = Saves::x;
  template <class T>
  TENET_HD T y(T x) const {
    return math::cos(x);
  }
  template <class T>
  TENET_HD T dx(T x, T dy) const {
    return -dy * math::sin(x);
  }
};

struct Tanh : Real {
  static constexpr const char* name = "tanh";
  static constexpr Saves saves = Saves::y;
  template <class T>
  TENET_HD T y(T x) const {
    return math::tanh(x);
  }
  template <class T>
  TENET_HD T dx(T y, T dy) const {
    return dy * (T(1) - y * y);
  }
};

struct Erf : Real {
  static constexpr const char* name = "erf";
  static constexpr Saves saves = Saves::x;
  template <class T>
  TENET_HD T y(T x) const {
    return math::erf(x);
  }
  template <class T>
  TENET_HD T dx(T x, T dy) const {
    return dy * (T(1.1283791670955126) * math::exp(-x * x));  // 2 / sqrt(pi)
  }
};

struct Sigmoid : Real {
  static constexpr const char* name = "sigmoid";
  static constexpr Saves saves = Saves::y;
  template <class T>
  TENET_HD T y(T x) const {
    return math::sigmoid(x);
  }
  template <class T>
  TENET_HD T dx(T y, T dy) const {
    return dy * (y * (T(1) - y));
  }
};

struct Relu : Number {
  static constexpr const char* name = "relu";
  static constexpr Saves saves = Saves::y;
  template <class T>
  TENET_HD T y(T x) const {
    return x < T(0) ? T(0) : x;
  }
  template <class T>
  TENET_HD T dx(T y, T dy) const {
    return y <= T(0) ? T(0) : dy;
  }
};

struct Gelu : Real {
  static constexpr const char* name = "gelu";
  static constexpr Saves saves = Saves::x;
  template <class T>
  TENET_HD static T distribution(T x) {
    return T(0.5) + T(0.5) * math::erf(x * T(0.7071067811865476));
  }
  template <class T>
  TENET_HD static T density(T x) {
    return T(0.3989422804014327) * math::exp(T(-0.5) * x * x);  // 1 / sqrt(2 pi)
  }
  template <class T>
  TENET_HD T y(T x) const {
    return x * distribution(x);
  }
  template <class T>
  TENET_HD T dx(T x, T dy) const {
    return dy * (distribution(x) + x * density(x));
  }
};

struct GeluTanh : Real {
  static constexpr const char* name = "gelu_tanh";
  static constexpr Saves saves = Saves::x;
  static constexpr double slope = 0.7978845608028654, cubic = 0.044715;  // slope: sqrt(2 / pi)
  template <class T>
  TENET_HD static T gate(T x) {
    return math::tanh(T(slope) * (x + T(cubic) * (x * x * x)));
  }
  template <class T>
  TENET_HD T y(T x) const {
    return T(0.5) * x * (T(1) + gate(x));
  }
  template <class T>
  TENET_HD T dx(T x, T dy) const {
    const T t = gate(x);
    const T inner = T(slope) * (T(1) + T(3 * cubic) * (x * x));
    return dy * (T(0.5) * (T(1) + t) + T(0.5) * x * (T(1) - t * t) * inner);
  }
};

struct Silu : Real {
  static constexpr const char* name = "silu";
  static constexpr Saves saves = Saves::x;
  template <class T>
  TENET_HD T y(T x) const {
    return x * math::sigmoid(x);
  }
  template <class T>
  TENET_HD T dx(T x, T dy) const {
    const T s = math::sigmoid(x);
    return dy * (s * (T(1) + x * (T(1) - s)));
  }
};

struct Softplus : Real {
  static constexpr const char* name = "softplus";
  static constexpr Saves saves = Saves::x;
  template <class T>
  TENET_HD T y(T x) const {
    return math::softplus(x);
  }
  template <class T>
  TENET_HD T dx(T x, T dy) const {
    return dy * math::sigmoid(x);
  }
};

struct Floor : Number {
  static constexpr const char* name = "floor";
  static constexpr Saves saves = Saves::nothing;
  template <class T>
  TENET_HD T y(T x) const {
    if constexpr (std::is_floating_point_v<T>)
      return math::floor(x);
    else
      return x;
  }
};

struct Ceil : Number {
  static constexpr const char* name = "ceil";
  static constexpr Saves saves = Saves::nothing;
  template <class T>
  TENET_HD T y(T x) const {
    if constexpr (std::is_floating_point_v<T>)
      return math::ceil(x);
    else
      return x;
  }
};

struct Round : Number {
  static constexpr const char* name = "round";
  static constexpr Saves saves = Saves::nothing;
  template <class T>
  TENET_HD T y(T x) const {
    if constexpr (std::is_floating_point_v<T>)
      return math::rint(x);
    else
      return x;
  }
};

/// A C++ number inside a functor: as<T>() on the device too.
struct Constant {
  double value = 0;
  int64_t integer = 0;

  Constant() = default;
  Constant(Scalar s)  // NOLINT(google-explicit-constructor): a number becomes a constant
      : value(s.as_double()), integer(s.as_int64()) {}
  template <class T>
  TENET_HD T as() const {
    if constexpr (std::is_integral_v<T>)
      return static_cast<T>(integer);
    else
      return static_cast<T>(value);
  }
};

struct Clamp : Number {
  static constexpr const char* name = "clamp";
  static constexpr Saves saves = Saves::x;
  Constant low, high;
  template <class T>
  TENET_HD T y(T x) const {
    const T a = low.as<T>(), b = high.as<T>();
    return x < a ? a : x > b ? b : x;
  }
  template <class T>
  TENET_HD T dx(T x, T dy) const {
    return x < low.as<T>() || x > high.as<T>() ? T(0) : dy;
  }
};

struct IsFinite : Predicate {
  static constexpr const char* name = "isfinite";
  template <class T>
  TENET_HD bool y(T x) const {
    if constexpr (std::is_floating_point_v<T>)
      return !is_nan(x - x);
    else
      return true;
  }
};

struct IsNan : Predicate {
  static constexpr const char* name = "isnan";
  template <class T>
  TENET_HD bool y(T x) const {
    return is_nan(x);
  }
};

struct LogicalNot : Predicate {
  static constexpr const char* name = "logical_not";
  template <class T>
  TENET_HD bool y(T x) const {
    return x == T(0);
  }
};

// --- Binary ------------------------------------------------------------------

struct Add : NumberOrBoolean {
  static constexpr const char* name = "add";
  template <class T>
  TENET_HD T y(T a, T b) const {
    return T(Wrapping<T>(a) + Wrapping<T>(b));
  }
};

struct Sub : Number {
  static constexpr const char* name = "sub";
  template <class T>
  TENET_HD T y(T a, T b) const {
    return T(Wrapping<T>(a) - Wrapping<T>(b));
  }
};

struct Mul : NumberOrBoolean {
  static constexpr const char* name = "mul";
  template <class T>
  TENET_HD T y(T a, T b) const {
    if constexpr (sizeof(T) < sizeof(int))
      return T(unsigned(a) * unsigned(b));
    else
      return T(Wrapping<T>(a) * Wrapping<T>(b));
  }
};

struct Div : Real {
  static constexpr const char* name = "div";
  template <class T>
  TENET_HD T y(T a, T b) const {
    return a / b;
  }
  template <class T>
  TENET_HD T da(T, T b, T dy) const {
    return dy / b;
  }
  template <class T>
  TENET_HD T db(T a, T b, T dy) const {
    return -(dy / b) * (a / b);
  }
};

struct Pow : Number {
  static constexpr const char* name = "pow";
  template <class T>
  TENET_HD T y(T a, T b) const {
    if constexpr (std::is_floating_point_v<T>)
      return math::pow(a, b);
    else
      return integer_power(a, b);
  }
  template <class T>
  TENET_HD T da(T a, T b, T dy) const {
    return b == T(0) ? T(0) : dy * (b * math::pow(a, b - T(1)));
  }
  template <class T>
  TENET_HD T db(T a, T b, T dy) const {
    return a == T(0) && b >= T(0) ? T(0) : dy * (math::pow(a, b) * math::log(a));
  }

 private:
  template <class T>
  TENET_HD static T integer_power(T a, T b) {
    if constexpr (std::is_signed_v<T>) {
      if (b < T(0)) return a == T(1) ? T(1) : a == T(-1) ? T(b % 2 == 0 ? 1 : -1) : T(0);
    }
    uint64_t base = static_cast<uint64_t>(a), result = 1;
    for (uint64_t rest = static_cast<uint64_t>(b); rest > 0; rest >>= 1) {
      if (rest & 1) result *= base;
      base *= base;
    }
    return static_cast<T>(result);
  }
};

/// The gradient of the chosen operand; half where both are equal.
template <class T>
TENET_HD T chosen(bool first, bool equal, T dy) {
  return equal ? T(0.5) * dy : first ? dy : T(0);
}

struct Maximum : NumberOrBoolean {
  static constexpr const char* name = "maximum";
  template <class T>
  TENET_HD T y(T a, T b) const {
    return a > b || is_nan(a) ? a : b;
  }
  template <class T>
  TENET_HD T da(T a, T b, T dy) const {
    return chosen(a > b || is_nan(a), a == b, dy);
  }
  template <class T>
  TENET_HD T db(T a, T b, T dy) const {
    return chosen(!(a > b || is_nan(a)), a == b, dy);
  }
};

struct Minimum : NumberOrBoolean {
  static constexpr const char* name = "minimum";
  template <class T>
  TENET_HD T y(T a, T b) const {
    return a < b || is_nan(a) ? a : b;
  }
  template <class T>
  TENET_HD T da(T a, T b, T dy) const {
    return chosen(a < b || is_nan(a), a == b, dy);
  }
  template <class T>
  TENET_HD T db(T a, T b, T dy) const {
    return chosen(!(a < b || is_nan(a)), a == b, dy);
  }
};

struct Equal : Predicate {
  static constexpr const char* name = "equal";
  template <class T>
  TENET_HD bool y(T a, T b) const {
    return a == b;
  }
};

struct NotEqual : Predicate {
  static constexpr const char* name = "not_equal";
  template <class T>
  TENET_HD bool y(T a, T b) const {
    return a != b;
  }
};

struct Less : Predicate {
  static constexpr const char* name = "less";
  template <class T>
  TENET_HD bool y(T a, T b) const {
    return a < b;
  }
};

struct LessEqual : Predicate {
  static constexpr const char* name = "less_equal";
  template <class T>
  TENET_HD bool y(T a, T b) const {
    return a <= b;
  }
};

struct Greater : Predicate {
  static constexpr const char* name = "greater";
  template <class T>
  TENET_HD bool y(T a, T b) const {
    return a > b;
  }
};

struct GreaterEqual : Predicate {
  static constexpr const char* name = "greater_equal";
  template <class T>
  TENET_HD bool y(T a, T b) const {
    return a >= b;
  }
};

struct LogicalAnd : Predicate {
  static constexpr const char* name = "logical_and";
  template <class T>
  TENET_HD bool y(T a, T b) const {
    return a != T(0) && b != T(0);
  }
};

struct LogicalOr : Predicate {
  static constexpr const char* name = "logical_or";
  template <class T>
  TENET_HD bool y(T a, T b) const {
    return a != T(0) || b != T(0);
  }
};

// --- A number for one operand ------------------------------------------------

/// Whether the gradient of B's tensor operand needs that operand.
template <class B>
inline constexpr bool needs_operand =
    std::is_same_v<B, Pow> || std::is_same_v<B, Maximum> || std::is_same_v<B, Minimum>;

/// x -> B(x, number).
template <class B>
struct Right : B {
  static constexpr Saves saves = needs_operand<B> ? Saves::x : Saves::nothing;
  Constant number;
  template <class T>
  TENET_HD auto y(T x) const {
    return B::y(x, number.as<T>());
  }
  template <class T>
  TENET_HD T dx(T x, T dy) const {
    return B::da(x, number.as<T>(), dy);
  }
};

/// x -> B(number, x).
template <class B>
struct Left : B {
  static constexpr Saves saves =
      std::is_same_v<B, Div> || needs_operand<B> ? Saves::x : Saves::nothing;
  Constant number;
  template <class T>
  TENET_HD auto y(T x) const {
    return B::y(number.as<T>(), x);
  }
  template <class T>
  TENET_HD T dx(T x, T dy) const {
    return B::db(number.as<T>(), x, dy);
  }
};

}  // namespace tenet::functor
