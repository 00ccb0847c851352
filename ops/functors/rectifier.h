/// Rectifiers and their smooth relatives.
#pragma once

#include <tenet/ops/functors/traits.h>

namespace tenet::functor {

/// e^x - 1 for x <= 0, to a few ulp of the result.
TENET_HD inline float expm1_below(float x) {
  const float t = math::tanh(0.5f * x);
  return (t + t) / (1.0f - t);
}
TENET_HD inline double expm1_below(double x) { return ::expm1(x); }

struct LeakyRelu : Real {
  static constexpr const char* name = "leaky_relu";
  static constexpr Saves saves = Saves::x;
  Constant slope;
  template <class T>
  TENET_HD T y(T x) const {
    return x < T(0) ? slope.as<T>() * x : x;
  }
  template <class T>
  TENET_HD T dx(T x, T dy) const {
    return x > T(0) ? dy : slope.as<T>() * dy;
  }
};

struct Elu : Real {
  static constexpr const char* name = "elu";
  static constexpr Saves saves = Saves::x;
  Constant alpha;
  template <class T>
  TENET_HD T y(T x) const {
    return x > T(0) ? x : alpha.as<T>() * expm1_below(x);
  }
  template <class T>
  TENET_HD T dx(T x, T dy) const {
    return x > T(0) ? dy : dy * (alpha.as<T>() * math::exp(x));
  }
};

struct Selu : Real {
  static constexpr const char* name = "selu";
  static constexpr Saves saves = Saves::x;
  static constexpr double scale = 1.0507009873554805, alpha = 1.6732632423543772;
  template <class T>
  TENET_HD T y(T x) const {
    return x > T(0) ? T(scale) * x : T(scale * alpha) * expm1_below(x);
  }
  template <class T>
  TENET_HD T dx(T x, T dy) const {
    return x > T(0) ? T(scale) * dy : dy * (T(scale * alpha) * math::exp(x));
  }
};

struct Hardsigmoid : Real {
  static constexpr const char* name = "hardsigmoid";
  static constexpr Saves saves = Saves::x;
  template <class T>
  TENET_HD T y(T x) const {
    return x < T(-3) ? T(0) : x > T(3) ? T(1) : (x + T(3)) / T(6);
  }
  template <class T>
  TENET_HD T dx(T x, T dy) const {
    return x > T(-3) && x < T(3) ? dy / T(6) : T(0);
  }
};

struct Hardswish : Real {
  static constexpr const char* name = "hardswish";
  static constexpr Saves saves = Saves::x;
  template <class T>
  TENET_HD T y(T x) const {
    return x < T(-3) ? T(0) : x > T(3) ? x : x * ((x + T(3)) / T(6));
  }
  template <class T>
  TENET_HD T dx(T x, T dy) const {
    return x <= T(-3) ? T(0) : x >= T(3) ? dy : dy * (x / T(3) + T(0.5));
  }
};

/// With e = exp(x) and n = e (e + 2), tanh(softplus(x)) = n / (n + 2).
struct Mish : Real {
  static constexpr const char* name = "mish";
  static constexpr Saves saves = Saves::x;
  static constexpr double large = 20;  // above, the factor is 1 in f64 too
  template <class T>
  TENET_HD T y(T x) const {
    const T e = math::exp(x > T(large) ? T(large) : x), n = e * (e + T(2));
    return x > T(large) ? x : x * (n / (n + T(2)));
  }
  template <class T>
  TENET_HD T dx(T x, T dy) const {
    const T e = math::exp(x > T(large) ? T(large) : x), n = e * (e + T(2));
    const T slope = n / (n + T(2)) + x * (T(4) * e * (e + T(1)) / ((n + T(2)) * (n + T(2))));
    return x > T(large) ? dy : dy * slope;
  }
};

struct LogSigmoid : Real {
  static constexpr const char* name = "log_sigmoid";
  static constexpr Saves saves = Saves::x;
  template <class T>
  TENET_HD T y(T x) const {
    return -math::softplus(-x);
  }
  template <class T>
  TENET_HD T dx(T x, T dy) const {
    return dy * math::sigmoid(-x);
  }
};

}  // namespace tenet::functor
