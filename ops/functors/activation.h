/// Functions of one number that neural networks use as nonlinearities.
#pragma once

#include <tenet/ops/functors/traits.h>

namespace tenet::functor {

struct Tanh : RealInPacks {
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

struct Erf : RealInPacks {
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

struct Sigmoid : RealInPacks {
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

struct Gelu : RealInPacks {
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

struct GeluTanh : RealInPacks {
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

struct Silu : RealInPacks {
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

}  // namespace tenet::functor
