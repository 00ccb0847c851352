#include <doctest/doctest.h>
#include <tenet/ops/detail/math.h>

#include <algorithm>
#include <cmath>
#include <limits>

using namespace tenet;

namespace {

/// The distance of y from `exact` in units of the last place of the float nearest to it.
double ulps(float y, double exact) {
  const float nearest = static_cast<float>(exact);
  if (std::isnan(exact)) return std::isnan(y) ? 0 : 1e9;
  if (std::isinf(nearest) || std::isinf(y)) return y == nearest ? 0 : 1e9;
  const float size = std::max(std::abs(nearest), std::numeric_limits<float>::min());
  const double ulp =
      static_cast<double>(std::nextafter(size, INFINITY)) - static_cast<double>(size);
  return std::abs(static_cast<double>(y) - exact) / ulp;
}

/// The largest error over every 2,003rd float from `low` to `high`.
template <class F, class Exact>
double worst(F f, Exact exact, float low = -INFINITY, float high = INFINITY) {
  double error = 0;
  for (uint64_t bits = 0; bits <= 0xffffffffu; bits += 2003) {
    const float x = std::bit_cast<float>(static_cast<uint32_t>(bits));
    if (x < low || x > high) continue;
    error = std::max(error, ulps(f(x), exact(static_cast<double>(x))));
  }
  return error;
}

}  // namespace

TEST_CASE("f32 functions keep the error that they state") {
  const auto logistic = [](double x) { return 1 / (1 + std::exp(-x)); };
  const auto softplus = [](double x) {
    return std::isnan(x) ? x : std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x)));
  };
  const double exp_error =
      worst([](float x) { return math::exp(x); }, [](double x) { return std::exp(x); });
  const double log_error =
      worst([](float x) { return math::log(x); }, [](double x) { return std::log(x); });
  const double tanh_error =
      worst([](float x) { return math::tanh(x); }, [](double x) { return std::tanh(x); });
  const double erf_error =
      worst([](float x) { return math::erf(x); }, [](double x) { return std::erf(x); });
  const double sigmoid_error = worst([](float x) { return math::sigmoid(x); }, logistic);
  const double softplus_error = worst([](float x) { return math::softplus(x); }, softplus);
  const double log1p_error = worst([](float x) { return math::log1p_of_unit(x); },
                                   [](double x) { return std::log1p(x); }, 0.0f, 1.0f);
  MESSAGE("largest errors in ulp: exp ", exp_error, ", log ", log_error, ", tanh ", tanh_error,
          ", erf ", erf_error, ", sigmoid ", sigmoid_error, ", softplus ", softplus_error,
          ", log1p ", log1p_error);
  CHECK(exp_error <= 1);
  CHECK(log_error <= 0.8);
  CHECK(tanh_error <= 1.3);
#ifdef FP_FAST_FMAF
  CHECK(erf_error <= 1.3);
#else
  CHECK(erf_error <= 1.4);
#endif
  CHECK(sigmoid_error <= 2.5);
  CHECK(softplus_error <= 1.8);
  CHECK(log1p_error <= 1.2);
}

TEST_CASE("f32 functions at the ends of their range") {
  const float infinity = std::numeric_limits<float>::infinity();
  CHECK(math::exp(infinity) == infinity);
  CHECK(math::exp(-infinity) == 0);
  CHECK(math::exp(88.73f) == infinity);
  CHECK(math::exp(0.0f) == 1);
  CHECK(math::log(0.0f) == -infinity);
  CHECK(math::log(-0.0f) == -infinity);
  CHECK(std::isnan(math::log(-1.0f)));
  CHECK(math::log(infinity) == infinity);
  CHECK(math::log(1.0f) == 0);
  CHECK(math::tanh(infinity) == 1);
  CHECK(math::tanh(-infinity) == -1);
  CHECK(math::erf(infinity) == 1);
  CHECK(math::erf(-infinity) == -1);
  CHECK(math::sigmoid(-infinity) == 0);
  CHECK(math::softplus(-infinity) == 0);
  CHECK(math::softplus(infinity) == infinity);
  CHECK(std::signbit(math::tanh(-0.0f)));
  CHECK(std::signbit(math::erf(-0.0f)));
}
