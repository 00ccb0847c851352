/// Loops over the words of a draw on the CPU.
#pragma once

#include <tenet/core/half.h>
#include <tenet/core/parallel.h>
#include <tenet/core/philox.h>
#include <tenet/core/view.h>

#include <algorithm>

namespace tenet::detail {

/// Blocks of four words that are made together, and so many words.
inline constexpr int64_t random_lanes = 64;
inline constexpr int64_t random_words = 4 * random_lanes;

/// Words 4 first to 4 first + random_words of the draw at `key`: philox_block(), many blocks
/// abreast.
inline void philox_words(const PhiloxKey& key, uint64_t first, uint32_t* words) {
  for (int64_t lane = 0; lane < random_lanes; ++lane) {
    const PhiloxBlock block = philox_block(key, first + static_cast<uint64_t>(lane));
    for (int i = 0; i < 4; ++i) words[4 * lane + i] = block.word[i];
  }
}

/// Calls fn(begin, n, words) on stretches that cover [0, count) once: words[i] is word begin + i of
/// the draw at `key`, and words up to the next multiple of four are there too. Parallel; `fn` must
/// not throw.
template <class F>
void for_each_words(int64_t count, const PhiloxKey& key, F&& fn) {
  const int64_t blocks = (count + random_words - 1) / random_words;
  parallel_for(blocks, 16, [&](int64_t begin, int64_t end) {
    uint32_t words[random_words];
    for (int64_t i = begin; i < end; ++i) {
      philox_words(key, static_cast<uint64_t>(i * random_lanes), words);
      fn(i * random_words, std::min(random_words, count - i * random_words), words);
    }
  });
}

/// y[i] = fn(word i); y is contiguous.
template <class T, class F>
void fill_random(const View& y, const PhiloxKey& key, F fn) {
  T* to = y.as<T>();
  for_each_words(y.numel(), key, [=](int64_t begin, int64_t n, const uint32_t* words) {
    for (int64_t i = 0; i < n; ++i) to[begin + i] = fn(words[i]);
  });
}

/// Uniform in [0, 1) with as many random bits as T's fraction holds, 24 at most, so that 1 is never
/// rounded to.
template <class T>
TENET_HD T uniform_of_type(uint32_t word) {
  if constexpr (std::is_same_v<T, bf16>)
    return T(static_cast<float>(word >> 24) * 0x1p-8f);
  else if constexpr (std::is_same_v<T, f16>)
    return T(static_cast<float>(word >> 21) * 0x1p-11f);
  else
    return T(uniform_of_word(word));
}

}  // namespace tenet::detail
