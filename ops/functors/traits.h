/// What the functors share.
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
/// Those whose y() and dx() take packs of floats too (ops/detail/pack.h).
struct RealInPacks : Real {
  static constexpr bool packs = true;
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

}  // namespace tenet::functor
