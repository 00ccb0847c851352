/// What each reduction does with its elements; the loops around it are the device's. See Note
/// [Order of sums].
///
/// A reduction of T has a Lane (what one accumulator holds) and a Total (what blocks add up to):
///   init()              a Lane of no elements
///   reduce(lane, x, i)  with the element x of row-major place i
///   combine(a, b)       two Lanes of one block
///   start(), join(t, l) the Total of no block, and with one more block
///   finish(t, n)        the result over n elements
#pragma once

#include <tenet/core/dtype.h>
#include <tenet/core/macros.h>
#include <tenet/ops/detail/math.h>
#include <tenet/ops/functors/traits.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace tenet::detail {

inline constexpr int64_t reduce_block = 1024;
inline constexpr int reduce_lanes = 16;

/// The 2 * half lanes as one: lanes half apart are combined, then those half of that apart, ...
template <int half, class Lane, class Combine>
TENET_HD Lane fold(Lane* lanes, const Combine& combine) {
  for (int k = 0; k < half; ++k) lanes[k] = combine(lanes[k], lanes[k + half]);
  if constexpr (half > 1) fold<half / 2>(lanes, combine);
  return lanes[0];
}

template <class T>
inline constexpr bool is_float_type = std::is_floating_point_v<Compute<T>>;

/// In which sums over T are kept: in a block, and over blocks.
template <class T>
using LaneSum = std::conditional_t<is_float_type<T>, Compute<T>, int64_t>;
template <class T>
using TotalSum = std::conditional_t<is_float_type<T>, double, int64_t>;

/// a * b + c in one instruction where the machine has it.
TENET_HD inline float fused(float a, float b, float c) { return math::fused(a, b, c); }
TENET_HD inline double fused(double a, double b, double c) { return a * b + c; }

/// a + b; integers wrap around.
template <class T>
TENET_HD T plus(T a, T b) {
  using W = functor::Wrapping<T>;
  return static_cast<T>(static_cast<W>(a) + static_cast<W>(b));
}

template <class T>
struct Sum {
  using Lane = LaneSum<T>;
  using Total = TotalSum<T>;
  TENET_HD Lane init() const { return 0; }
  TENET_HD Lane reduce(Lane a, T x, int64_t) const { return plus(a, static_cast<Lane>(x)); }
  TENET_HD Lane combine(Lane a, Lane b) const { return plus(a, b); }
  TENET_HD Total start() const { return 0; }
  TENET_HD Total join(Total t, Lane a) const { return plus(t, static_cast<Total>(a)); }
  TENET_HD Total finish(Total t, int64_t) const { return t; }
};

template <class T>
struct Mean : Sum<T> {
  TENET_HD double finish(double t, int64_t n) const { return t / static_cast<double>(n); }
};

/// sqrt(sum(x^2))
template <class T>
struct Norm : Sum<T> {
  using Lane = typename Sum<T>::Lane;
  TENET_HD Lane reduce(Lane a, T x, int64_t) const {
    return fused(static_cast<Lane>(x), static_cast<Lane>(x), a);
  }
  TENET_HD double finish(double t, int64_t) const { return std::sqrt(t); }
};

/// sum((x - mean)^2) / (n - correction)
template <class T>
struct SquaredDeviation : Sum<T> {
  using Lane = typename Sum<T>::Lane;
  Lane mean = 0;
  int correction = 0;
  TENET_HD Lane reduce(Lane a, T x, int64_t) const {
    const Lane distance = static_cast<Lane>(x) - mean;
    return fused(distance, distance, a);
  }
  TENET_HD double finish(double t, int64_t n) const {
    return n > correction ? t / static_cast<double>(n - correction)
                          : std::numeric_limits<double>::quiet_NaN();
  }
};

/// shift + log(sum(exp(x - shift)))
template <class T>
struct LogSumExp : Sum<T> {
  using Lane = typename Sum<T>::Lane;
  Lane shift = 0;
  TENET_HD Lane reduce(Lane a, T x, int64_t) const {
    return a + math::exp(static_cast<Lane>(x) - shift);
  }
  TENET_HD double finish(double t, int64_t) const {
    return static_cast<double>(shift) + std::log(t);
  }
};

/// Whether a is ahead of b: larger or smaller; NaN is ahead of every number.
template <bool largest, class T>
TENET_HD bool ahead(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    if (a != a) return b == b;
  }
  return largest ? a > b : a < b;
}

template <bool largest, class T>
struct Extreme {
  using Lane = Compute<T>;
  using Total = Lane;
  using Limits = std::numeric_limits<Lane>;
  TENET_HD Lane init() const {
    if constexpr (is_float_type<T>)
      return largest ? -Limits::infinity() : Limits::infinity();
    else
      return largest ? Limits::lowest() : Limits::max();
  }
  TENET_HD Lane reduce(Lane a, T x, int64_t) const { return combine(a, static_cast<Lane>(x)); }
  TENET_HD Lane combine(Lane a, Lane b) const {
    if constexpr (is_float_type<T>)
      return ((largest ? b > a : b < a) | (b != b)) ? b : a;
    else
      return (largest ? b > a : b < a) ? b : a;
  }
  TENET_HD Total start() const { return init(); }
  TENET_HD Total join(Total t, Lane a) const { return combine(t, a); }
  TENET_HD Total finish(Total t, int64_t) const { return t; }
};

template <class T>
struct Place {
  T value;
  int64_t index;  // -1: none
};

/// The first place of the extreme.
template <bool largest, class T>
struct ExtremePlace {
  using Lane = Place<Compute<T>>;
  using Total = Lane;
  TENET_HD Lane init() const { return {Compute<T>(0), -1}; }
  TENET_HD Lane reduce(Lane a, T x, int64_t i) const {
    return combine(a, {static_cast<Compute<T>>(x), i});
  }
  TENET_HD Lane combine(Lane a, Lane b) const {
    if (b.index < 0) return a;
    if (a.index < 0 || ahead<largest>(b.value, a.value)) return b;
    return b.index < a.index && !ahead<largest>(a.value, b.value) ? b : a;
  }
  TENET_HD Total start() const { return init(); }
  TENET_HD Total join(Total t, Lane a) const { return combine(t, a); }
  TENET_HD int64_t finish(Total t, int64_t) const { return t.index; }
};

}  // namespace tenet::detail
