#include <tenet/ops/attention/detail/vector.h>

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>

namespace tiles = tenet::detail::tiles;

namespace {

template <class T>
T exp_of(T x) {
  return tiles::exp(tiles::splat(x))[0];
}

/// The largest error in units of the last place of the true value, over random and special
/// arguments.
template <class T, class Wide>
double worst_ulp(T low, T high) {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<T> uniform(low, high);
  double worst = 0;
  for (int i = 0; i < 1'000'000; ++i) {
    const T x = i % 4 ? uniform(random) : uniform(random) / T(64);
    const Wide want = std::exp(static_cast<Wide>(x));
    const T near = static_cast<T>(want);
    const Wide ulp = std::nextafter(near, std::numeric_limits<T>::infinity()) - near;
    worst = std::max(worst, std::abs(double((Wide(exp_of(x)) - want) / ulp)));
  }
  return worst;
}

}  // namespace

TEST_CASE("exp is right to about 1 ulp") {
  CHECK(worst_ulp<float, double>(-87, 88) <= 1.1);
  CHECK(worst_ulp<double, long double>(-708, 709) <= 1);
}

TEST_CASE_TEMPLATE("exp of special values", T, float, double) {
  constexpr T infinity = std::numeric_limits<T>::infinity();
  CHECK(exp_of(T(0)) == 1);
  CHECK(exp_of(-T(0)) == 1);
  CHECK(exp_of(-infinity) == 0);
  CHECK(exp_of(T(-1e9)) == 0);
  CHECK(std::isnan(exp_of(std::numeric_limits<T>::quiet_NaN())));
}
