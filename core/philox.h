/// Philox4x32-10, the counter-based generator of Salmon et al., "Parallel Random Numbers: As Easy
/// as 1, 2, 3" (2011).
///
/// Element i of a draw is word i mod 4 of the block with key = seed and counter = (offset + i/4,
/// stream), so any element is computed on its own, on any device, in any order.
#pragma once

#include <tenet/core/macros.h>

#include <cmath>
#include <cstdint>

namespace tenet {

/// Where a draw begins. Same fields, same numbers.
struct PhiloxKey {
  uint64_t seed = 0;    // which numbers
  uint64_t stream = 0;  // which of the sequences of a seed
  uint64_t offset = 0;  // in blocks of four words
};

/// What one evaluation gives: four independent words.
struct PhiloxBlock {
  uint32_t word[4];  // uniform on 0 to 2^32 - 1
};

/// The block of four words at counter (offset + index, stream).
TENET_HD inline PhiloxBlock philox_block(const PhiloxKey& key, uint64_t index) {
  const uint64_t position = key.offset + index;
  uint32_t c0 = static_cast<uint32_t>(position), c1 = static_cast<uint32_t>(position >> 32);
  uint32_t c2 = static_cast<uint32_t>(key.stream), c3 = static_cast<uint32_t>(key.stream >> 32);
  uint32_t k0 = static_cast<uint32_t>(key.seed), k1 = static_cast<uint32_t>(key.seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53u} * c0;
    const uint64_t p1 = uint64_t{0xCD9E8D57u} * c2;
    c0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0;
    c1 = static_cast<uint32_t>(p1);
    c2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c3 = static_cast<uint32_t>(p0);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

/// A uniform number in [0, 1) with 24 random bits.
TENET_HD inline float uniform_of_word(uint32_t word) {
  return static_cast<float>(word >> 8) * 0x1p-24f;
}

/// Element i as a uniform number in [0, 1).
TENET_HD inline float philox_uniform(const PhiloxKey& key, uint64_t i) {
  return uniform_of_word(philox_block(key, i / 4).word[i % 4]);
}

/// Box-Muller: two words to two independent standard normals; which = 0 is the cosine, 1 the sine.
TENET_HD inline float normal_of_words(uint32_t a, uint32_t b, int which) {
  const float u = (static_cast<float>(a >> 8) + 0.5f) * 0x1p-24f;
  const float radius = sqrtf(-2.0f * logf(u));
  const float angle = 6.283185307179586f * uniform_of_word(b);
  return radius * (which == 0 ? cosf(angle) : sinf(angle));
}

/// Element i as a standard normal number.
TENET_HD inline float philox_normal(const PhiloxKey& key, uint64_t i) {
  const PhiloxBlock block = philox_block(key, i / 4);
  const int pair = static_cast<int>(i % 4) & ~1;
  return normal_of_words(block.word[pair], block.word[pair + 1], static_cast<int>(i % 2));
}

}  // namespace tenet
