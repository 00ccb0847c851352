/// Vectors of f32 rounded to bf16.
#pragma once

#include <cstdint>
#include <cstring>

namespace tenet::detail {

/// x, a vector of f32, rounded to the bits of bf16(float), in the upper half of each word of W, a
/// vector of uint32_t of the same length; the lower halves are arbitrary.
template <class W, class V>
[[gnu::always_inline]] inline W bf16_words(V x) {
  static_assert(sizeof(W) == sizeof(V));
  W word;
  std::memcpy(&word, &x, sizeof(word));
  const W rounded = word + 0x7fff + (word >> 16 & 1);
  return x == x ? rounded : word | 0x400000;
}

}  // namespace tenet::detail
