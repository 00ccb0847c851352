#include <doctest/doctest.h>
#include <tenet/core/generator.h>

#include <cmath>
#include <thread>

using namespace tenet;

namespace {

bool gives(PhiloxKey key, uint64_t index, const uint32_t (&expected)[4]) {
  const PhiloxBlock block = philox_block(key, index);
  return std::equal(expected, expected + 4, block.word);
}

}  // namespace

TEST_CASE("Philox gives the words of the authors' known-answer tests") {
  // kat_vectors of Random123: counter and key of zeros, of ones, and of pi's digits.
  CHECK(gives({0, 0, 0}, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  CHECK(gives({~0ull, ~0ull, ~0ull}, 0, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  const PhiloxKey pi{0x299f31d0a4093822, 0x0370734413198a2e, 0x85a308d3243f6a88};
  CHECK(gives(pi, 0, {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
  PhiloxKey earlier = pi;
  earlier.offset -= 5;
  CHECK(gives(earlier, 5, {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST_CASE("element i is word i mod 4 of block i / 4") {
  const PhiloxKey key{1, 2, 3};
  for (uint64_t i = 0; i < 20; ++i) {
    const uint32_t word = philox_block({1, 2, 3 + i / 4}, 0).word[i % 4];
    CHECK(philox_uniform(key, i) == static_cast<float>(word >> 8) / 16777216.0f);
  }
  CHECK(uniform_of_word(0) == 0.0f);
  CHECK(uniform_of_word(0xffffffff) < 1.0f);
}

TEST_CASE("uniform and normal numbers have their moments") {
  const PhiloxKey key{42, 0, 0};
  constexpr int n = 100000;
  double mean = 0, normal_mean = 0, square = 0, fourth = 0;
  for (uint64_t i = 0; i < n; ++i) {
    mean += philox_uniform(key, i) / n;
    const double z = philox_normal(key, i);
    normal_mean += z / n;
    square += z * z / n;
    fourth += z * z * z * z / n;
  }
  CHECK(std::abs(mean - 0.5) < 0.005);
  CHECK(std::abs(normal_mean) < 0.015);
  CHECK(std::abs(square - 1) < 0.02);
  CHECK(std::abs(fourth - 3) < 0.15);
  CHECK(std::isfinite(normal_of_words(0, 0, 0)));
  CHECK(std::isfinite(normal_of_words(0xffffffff, 0xffffffff, 1)));
}

TEST_CASE("a generator gives out its stream in order") {
  Generator g(5, 6);
  CHECK(g.seed() == 5);
  CHECK(g.stream() == 6);
  CHECK(g.take(1).offset == 0);
  CHECK(g.take(4).offset == 1);
  CHECK(g.take(5).offset == 2);
  CHECK(g.offset() == 4);
  g.set_offset(1);
  const PhiloxKey key = g.take(0);
  CHECK(key.seed == 5);
  CHECK(key.stream == 6);
  CHECK(key.offset == 1);
  CHECK(g.offset() == 1);
}

TEST_CASE("each thread has a default generator of its own") {
  set_seed(3);
  default_generator().take(8);
  std::thread([] {
    CHECK(default_generator().seed() == 0);
    CHECK(default_generator().offset() == 0);
  }).join();
  CHECK(default_generator().seed() == 3);
  CHECK(default_generator().offset() == 2);
  set_seed(0);
}
