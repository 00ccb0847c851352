#include <doctest/doctest.h>
#include <tenet/ops/detail/pack.h>

#include <vector>

using namespace tenet;
using detail::Pack;

namespace {

/// Every 20,011th float, and a NaN and infinities.
std::vector<float> numbers() {
  std::vector<float> x{INFINITY, -INFINITY, NAN, 0.0f, -0.0f};
  for (uint64_t bits = 0; bits <= 0xffffffffu; bits += 20011) {
    x.push_back(std::bit_cast<float>(static_cast<uint32_t>(bits)));
  }
  x.resize(x.size() / Pack::size * Pack::size);
  return x;
}

/// How many numbers have other bits under f of a pack than under f of each; NaN are alike.
template <class F>
int64_t differences(const F& f) {
  const std::vector<float> x = numbers();
  int64_t count = 0;
  for (size_t i = 0; i < x.size(); i += Pack::size) {
    float y[Pack::size];
    f(Pack::load(&x[i])).store(y);
    for (int64_t k = 0; k < Pack::size; ++k) {
      const float one = f(x[i + static_cast<size_t>(k)]);
      const bool nans = y[k] != y[k] && one != one;
      if (!nans && std::bit_cast<int32_t>(y[k]) != std::bit_cast<int32_t>(one)) ++count;
    }
  }
  return count;
}

}  // namespace

TEST_CASE("functions of a pack give the bits that they give of its numbers") {
  CHECK(differences([](auto x) { return math::exp(x); }) == 0);
  CHECK(differences([](auto x) { return math::erf(x); }) == 0);
  CHECK(differences([](auto x) { return math::tanh(x); }) == 0);
  CHECK(differences([](auto x) { return math::sigmoid(x); }) == 0);
}

TEST_CASE("a part of a pack touches no other numbers") {
  const float from[] = {1, 2, 3};
  float to[Pack::size + 1] = {};
  to[3] = 7;
  Pack::load(from, 3).store(to, 3);
  CHECK(to[2] == 3);
  CHECK(to[3] == 7);
}
