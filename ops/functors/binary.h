/// Functions of two numbers, and of one number with the other fixed.
#pragma once

#include <tenet/ops/functors/traits.h>

namespace tenet::functor {

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
