/// Philox4x32-10 written from the paper with 64-bit products and an explicit key schedule, apart
/// from core/philox.h.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace tenet::test {

inline std::array<uint32_t, 4> reference_philox(std::array<uint32_t, 4> counter,
                                                std::array<uint32_t, 2> key) {
  for (uint32_t round = 0; round < 10; ++round) {
    const uint32_t k0 = key[0] + round * 0x9E3779B9u, k1 = key[1] + round * 0xBB67AE85u;
    const uint64_t left = static_cast<uint64_t>(counter[0]) * 0xD2511F53u;
    const uint64_t right = static_cast<uint64_t>(counter[2]) * 0xCD9E8D57u;
    counter = {static_cast<uint32_t>(right >> 32) ^ counter[1] ^ k0, static_cast<uint32_t>(right),
               static_cast<uint32_t>(left >> 32) ^ counter[3] ^ k1, static_cast<uint32_t>(left)};
  }
  return counter;
}

/// The first `count` words of a generator with this seed at this offset.
inline std::vector<uint32_t> reference_words(uint64_t seed, uint64_t offset, size_t count) {
  std::vector<uint32_t> words;
  for (uint64_t block = offset; words.size() < count; ++block) {
    const auto four =
        reference_philox({static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32), 0, 0},
                         {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
    words.insert(words.end(), four.begin(), four.end());
  }
  words.resize(count);
  return words;
}

inline std::vector<double> reference_uniforms(uint64_t seed, uint64_t offset, size_t count) {
  std::vector<double> values;
  for (uint32_t word : reference_words(seed, offset, count))
    values.push_back((word >> 8) * 0x1p-24);
  return values;
}

}  // namespace tenet::test
