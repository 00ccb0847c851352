/// Philox beside cuRAND's, whose device function is compiled for the host here.
#include <tenet/core/philox.h>

#include <doctest/doctest.h>

#if __has_include(<curand_philox4x32_x.h>)

#include <initializer_list>

#include <vector_types.h>

#define QUALIFIERS static inline
#include <curand_philox4x32_x.h>

using namespace tenet;

TEST_CASE("the words of a block are cuRAND's") {
  const uint64_t far = (uint64_t{1} << 33) + 5;
  for (const uint64_t seed : {uint64_t{0}, uint64_t{7}, ~uint64_t{0}}) {
    for (const uint64_t stream : {uint64_t{0}, uint64_t{3}, far}) {
      for (const uint64_t offset : {uint64_t{0}, uint64_t{1} << 32, far, ~uint64_t{0}}) {
        const auto low = [](uint64_t x) { return static_cast<unsigned>(x); };
        const auto high = [](uint64_t x) { return static_cast<unsigned>(x >> 32); };
        const uint4 words =
            curand_Philox4x32_10(uint4{low(offset), high(offset), low(stream), high(stream)},
                                 uint2{low(seed), high(seed)});
        const PhiloxBlock block = philox_block({seed, stream, offset}, 0);
        CHECK(block.word[0] == words.x);
        CHECK(block.word[1] == words.y);
        CHECK(block.word[2] == words.z);
        CHECK(block.word[3] == words.w);
      }
    }
  }
}

#endif
