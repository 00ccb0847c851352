/// The 16-bit floating types: storage formats whose arithmetic is done in f32.
#pragma once

#include <tenet/core/macros.h>

#include <bit>
#include <cstdint>

namespace tenet {

/// bfloat16: the upper half of an f32. Rounds to nearest even; NaN stays NaN.
struct bf16 {
  uint16_t bits = 0;  // sign, 8 bits of exponent, 7 of fraction

  bf16() = default;
  TENET_HD bf16(float value) {  // NOLINT(google-explicit-constructor): a number type
    const uint32_t word = std::bit_cast<uint32_t>(value);
    const uint32_t rounded = (word + 0x7fffu + ((word >> 16) & 1u)) >> 16;
    const bool nan = (word & 0x7fffffffu) > 0x7f800000u;
    bits = static_cast<uint16_t>(nan ? (word >> 16) | 0x40u : rounded);
  }
  /// The same value; every bf16 is an f32.
  TENET_HD operator float() const {  // NOLINT(google-explicit-constructor)
    return std::bit_cast<float>(uint32_t{bits} << 16);
  }
};

/// IEEE binary16. Rounds to nearest even; overflow gives infinity.
struct f16 {
  uint16_t bits = 0;  // sign, 5 bits of exponent, 10 of fraction

  f16() = default;
  TENET_HD f16(float value) {  // NOLINT(google-explicit-constructor): a number type
    const uint32_t word = std::bit_cast<uint32_t>(value);
    const uint32_t sign = (word >> 16) & 0x8000u;
    const uint32_t magnitude = word & 0x7fffffffu;
    uint32_t result;
    if (magnitude > 0x7f800000u) {
      result = 0x7e00u;
    } else if (magnitude >= 0x477ff000u) {  // rounds to 2^16 or more
      result = 0x7c00u;
    } else if (magnitude < 0x38800000u) {  // subnormal: let f32 addition round at 2^-24
      const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
      result = std::bit_cast<uint32_t>(shifted) - 0x3f000000u;
    } else {
      result = (magnitude + 0xc8000fffu + ((magnitude >> 13) & 1u)) >> 13;
    }
    bits = static_cast<uint16_t>(sign | result);
  }
  /// The same value; every f16 is an f32.
  TENET_HD operator float() const {  // NOLINT(google-explicit-constructor)
    const uint32_t sign = uint32_t{bits & 0x8000u} << 16;
    const uint32_t magnitude = bits & 0x7fffu;
    uint32_t word;
    if (magnitude >= 0x7c00u) {
      word = 0x7f800000u | (magnitude << 13);
    } else if (magnitude >= 0x0400u) {
      word = (magnitude << 13) + 0x38000000u;
    } else {  // subnormal: magnitude * 2^-24 is exact
      word = std::bit_cast<uint32_t>(static_cast<float>(magnitude) * 0x1p-24f);
    }
    return std::bit_cast<float>(sign | word);
  }
};

}  // namespace tenet
