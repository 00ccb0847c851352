/// The arithmetic of the exact residual stream, for the CPU and CUDA.
#pragma once

#include <tenet/core/error.h>
#include <tenet/core/macros.h>
#include <tenet/core/shape.h>
#include <tenet/ops/detail/math.h>

#include <cmath>
#include <cstdint>

namespace tenet::detail {

/// Units of the stream in a number: rint(x 2^f), with what is out of range clamped and NaN a bound.
template <class T>
struct Quantize {
  T scale;
  static constexpr T limit = T(0x1p30);

  explicit Quantize(int fraction_bits) : scale(static_cast<T>(int64_t{1} << fraction_bits)) {}
  TENET_HD int32_t operator()(T x, bool& bad) const {
    const T v = x * scale;
    bad = !(math::abs(v) < limit);
    const T above = v > -limit ? v : -limit;
    return static_cast<int32_t>(math::rint(above < limit ? above : limit));
  }
};

TENET_HD inline int32_t wrapping_add(int32_t a, int32_t b) {
  return static_cast<int32_t>(static_cast<uint32_t>(a) + static_cast<uint32_t>(b));
}
TENET_HD inline int32_t wrapping_sub(int32_t a, int32_t b) {
  return static_cast<int32_t>(static_cast<uint32_t>(a) - static_cast<uint32_t>(b));
}
/// |q| >= 2^30
TENET_HD inline bool guarded(int32_t q) {
  return static_cast<uint32_t>(q) + 0x3fffffffu > 0x7ffffffeu;
}

/// The Error of a bad value: `what` is the operand that it belongs to.
[[noreturn]] inline void fail_value(const char* op, const char* what, double value, int64_t index,
                                    const Shape& shape, int fraction_bits) {
  check(std::isfinite(value), "{}: non-finite value at element {} of {}", op, index, shape);
  fail("{}: |{}| reaches {} at element {} of {}; the stream overflows at {} fraction bits", op,
       what, int64_t{1} << (30 - fraction_bits), index, shape, fraction_bits);
}

}  // namespace tenet::detail
