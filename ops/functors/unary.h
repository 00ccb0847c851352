/// Functions of one number: algebra, exponential and circular functions, rounding, predicates.
#pragma once

#include <tenet/ops/functors/traits.h>

namespace tenet::functor {

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

struct Exp : RealInPacks {
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

}  // namespace tenet::functor
