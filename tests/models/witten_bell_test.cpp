#include <doctest/doctest.h>
#include <tenet/models/witten_bell.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <set>
#include <string>

#include "models/scratch_folder.h"

using namespace tenet;

namespace {

std::span<const uint8_t> bytes_of(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

/// The definition, straight from the text: counts every occurrence of h and of hb anew.
double by_definition(const std::string& text, std::string h, char b) {
  double p = 1.0 / 256;
  for (size_t k = 0; k <= h.size(); ++k) {
    const std::string context = h.substr(h.size() - k);
    double count = 0, total = 0;
    std::set<char> after;
    for (size_t i = 0; i + k < text.size(); ++i)
      if (text.compare(i, k, context) == 0) {
        total += 1;
        count += text[i + k] == b;
        after.insert(text[i + k]);
      }
    if (total > 0)
      p = (count + static_cast<double>(after.size()) * p) /
          (total + static_cast<double>(after.size()));
  }
  return p;
}

std::string random_text(size_t n, int letters, unsigned seed) {
  std::mt19937 random(seed);
  std::string text;
  for (size_t i = 0; i < n; ++i) text += static_cast<char>(250 + random() % letters);
  return text;
}

}  // namespace

TEST_CASE("a hand-made example") {
  // "abac": c(a) = 2, c(b) = 1, c(c) = 1, T = 3, so p0(a) = (2 + 3/256) / 7 and p0(b) = (1 + 3/256)
  // / 7. After a: one b and one c, T = 2, so p1(b | a) = (1 + 2 p0(b)) / 4. After c: nothing, so
  // p1(. | c) = p0.
  const WittenBell model(bytes_of("abac"), 1);
  const double p0a = (2 + 3.0 / 256) / 7, p0b = (1 + 3.0 / 256) / 7, p0z = (3.0 / 256) / 7;
  CHECK(model.probability({}, 'a', 0) == doctest::Approx(p0a));
  CHECK(model.probability({}, 'b', 0) == doctest::Approx(p0b));
  CHECK(model.probability(bytes_of("a"), 'b', 1) == doctest::Approx((1 + 2 * p0b) / 4));
  CHECK(model.probability(bytes_of("b"), 'a', 1) == doctest::Approx((1 + 1 * p0a) / 2));
  CHECK(model.probability(bytes_of("c"), 'a', 1) == doctest::Approx(p0a));
  CHECK(model.probability(bytes_of("za"), 'z', 1) == doctest::Approx(2 * p0z / 4));
  const double bits = -std::log2((1 + 2 * p0b) / 4) - std::log2((1 + 1 * p0a) / 2);
  CHECK(model.bits_per_byte(bytes_of("aba"), 1) == doctest::Approx(bits / 2));
}

TEST_CASE("every order agrees with counting by hand") {
  const std::string text = random_text(400, 5, 1), other = random_text(60, 6, 2);
  const WittenBell model(bytes_of(text));
  for (int order = 0; order <= 3; ++order) {
    double bits = 0;
    for (size_t i = 1; i < other.size(); ++i) {
      const size_t k = std::min<size_t>(i, order);
      const double p = by_definition(text, other.substr(i - k, k), other[i]);
      CHECK(model.probability(bytes_of(other.substr(0, i)), other[i], order) ==
            doctest::Approx(p).epsilon(1e-12));
      bits -= std::log2(p);
    }
    CHECK(model.bits_per_byte(bytes_of(other), order) ==
          doctest::Approx(bits / static_cast<double>(other.size() - 1)).epsilon(1e-12));
  }
}

TEST_CASE("probabilities sum to one after any context") {
  const std::string text = random_text(3000, 6, 3);
  const WittenBell model(bytes_of(text));
  for (const std::string& context :
       {std::string(), text.substr(7, 1), text.substr(9, 2), text.substr(11, 3), std::string("abc"),
        text.substr(0, 2) + "x", std::string(3, '\xff')})
    for (int order = 0; order <= 3; ++order) {
      double sum = 0;
      for (int b = 0; b < 256; ++b)
        sum += model.probability(bytes_of(context), static_cast<uint8_t>(b), order);
      CHECK(sum == doctest::Approx(1).epsilon(1e-12));
    }
}

TEST_CASE("the order asked for may be below the one fitted") {
  const std::string text = random_text(500, 4, 5), other = random_text(100, 4, 6);
  const WittenBell three(bytes_of(text), 3), one(bytes_of(text), 1);
  CHECK(three.bits_per_byte(bytes_of(other), 1) == one.bits_per_byte(bytes_of(other), 1));
}

TEST_CASE("what a model cannot do is an error") {
  const WittenBell model(bytes_of("abc"), 1);
  CHECK(error_of([] { WittenBell(bytes_of("abc"), 4); }) == "witten_bell: order 4 is not in 0..3");
  CHECK(error_of([] { WittenBell(std::span<const uint8_t>{}); }) ==
        "witten_bell: the text to count is empty");
  CHECK(error_of([&] { model.bits_per_byte(bytes_of("abc"), 2); }) ==
        "witten_bell: order 2 asked of a model of order 1");
  CHECK(error_of([&] { model.bits_per_byte(bytes_of("a"), 1); }) ==
        "witten_bell: 1 bytes leave nothing to predict; at least 2 are needed");
}
