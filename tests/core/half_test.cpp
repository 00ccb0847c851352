#include <doctest/doctest.h>
#include <tenet/core/half.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

using namespace tenet;

namespace {

/// The value of a half type's bits by its definition: sign, exponent, mantissa.
double value_of(uint16_t bits, int mantissa_bits, int bias) {
  const int exponent_bits = 15 - mantissa_bits;
  const int exponent = (bits >> mantissa_bits) & ((1 << exponent_bits) - 1);
  const int mantissa = bits & ((1 << mantissa_bits) - 1);
  const double sign = bits & 0x8000 ? -1.0 : 1.0;
  if (exponent == (1 << exponent_bits) - 1) return mantissa ? NAN : sign * INFINITY;
  if (exponent == 0) return sign * std::ldexp(mantissa, 1 - bias - mantissa_bits);
  return sign * std::ldexp((1 << mantissa_bits) + mantissa, exponent - bias - mantissa_bits);
}

template <class Half>
void check_all(int mantissa_bits, int bias) {
  int wrong = 0;
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    Half half;
    half.bits = static_cast<uint16_t>(bits);
    const double expected = value_of(half.bits, mantissa_bits, bias);
    const float value = half;
    const Half back(value);
    const bool right = std::isnan(expected)
                           ? std::isnan(value) && std::isnan(static_cast<float>(back))
                           : value == expected && back.bits == half.bits;
    wrong += !right;
  }
  CHECK(wrong == 0);
}

/// Values around each pair of neighbours: the lower, the upper, and their middle, a hair to both
/// sides.
template <class Half>
void check_rounding(int mantissa_bits, int bias, uint16_t largest) {
  int wrong = 0;
  for (uint16_t bits = 0; bits <= largest; ++bits) {
    const double low = value_of(bits, mantissa_bits, bias);
    const double step =
        value_of(bits == largest ? bits : static_cast<uint16_t>(bits + 1), mantissa_bits, bias) -
        (bits == largest ? value_of(static_cast<uint16_t>(bits - 1), mantissa_bits, bias) : low);
    const float middle = static_cast<float>(low + step / 2);
    const uint16_t even = bits % 2 == 0 ? bits : static_cast<uint16_t>(bits + 1);
    for (const float sign : {1.0f, -1.0f}) {
      const uint16_t sign_bit = sign < 0 ? 0x8000 : 0;
      wrong += Half(sign * middle).bits != (sign_bit | even);
      wrong += Half(sign * std::nextafter(middle, 0.0f)).bits != (sign_bit | bits);
      wrong += Half(sign * std::nextafter(middle, INFINITY)).bits != (sign_bit | (bits + 1));
    }
  }
  CHECK(wrong == 0);
}

}  // namespace

TEST_CASE("every f16 and bf16 value converts to f32 exactly and back") {
  check_all<f16>(10, 15);
  check_all<bf16>(7, 127);
}

TEST_CASE("conversion rounds to the nearest, ties to even, also to subnormals and to infinity") {
  check_rounding<f16>(10, 15, 0x7bff);
  check_rounding<bf16>(7, 127, 0x7f7f);
}

TEST_CASE("infinities, NaN and signed zeros") {
  CHECK(f16(INFINITY).bits == 0x7c00);
  CHECK(f16(-INFINITY).bits == 0xfc00);
  CHECK(f16(1e30f).bits == 0x7c00);
  CHECK(f16(65504.0f).bits == 0x7bff);
  CHECK(f16(1e-30f).bits == 0);
  CHECK(f16(-0.0f).bits == 0x8000);
  CHECK(bf16(INFINITY).bits == 0x7f80);
  CHECK(bf16(std::numeric_limits<float>::max()).bits == 0x7f80);
  CHECK(bf16(-0.0f).bits == 0x8000);
  for (const uint32_t nan : {0x7fc00000u, 0x7f800001u, 0xffffffffu, 0x7fffffffu}) {
    CHECK(std::isnan(static_cast<float>(bf16(std::bit_cast<float>(nan)))));
    CHECK(std::isnan(static_cast<float>(f16(std::bit_cast<float>(nan)))));
  }
}
