#include <doctest/doctest.h>
#include <tenet/models/detail/curve_layout.h>

#include <cmath>
#include <limits>

using namespace tenet;
using namespace tenet::detail;

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

void check_ticks(const Axis& axis, const std::vector<double>& expected, int decimals) {
  REQUIRE(axis.ticks.size() == expected.size());
  for (size_t i = 0; i < expected.size(); ++i) CHECK(axis.ticks[i] == doctest::Approx(expected[i]));
  CHECK(axis.decimals == decimals);
}

}  // namespace

TEST_CASE("ticks stand at round numbers within the axis") {
  check_ticks(make_axis(0, 1000, 10), {0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000}, 0);
  check_ticks(make_axis(0, 1234, 10), {0, 200, 400, 600, 800, 1000, 1200}, 0);
  check_ticks(make_axis(2.05, 2.31, 6), {2.05, 2.1, 2.15, 2.2, 2.25, 2.3}, 2);
  check_ticks(make_axis(0, 3, 10, true), {0, 1, 2, 3}, 0);
  CHECK(make_axis(2, 4, 5).place(3) == 0.5);
}

TEST_CASE("smoothing keeps a constant, its number of points and the finite ones only") {
  std::vector<CurvePoint> points;
  for (int i = 0; i < 500; ++i) points.push_back({static_cast<double>(i), i % 2 == 0 ? 3.0 : 1.0});
  points[7].y = not_a_number;
  const auto smooth = smoothed(points);
  REQUIRE(smooth.size() == 499);
  CHECK(smooth[250].y == doctest::Approx(2).epsilon(0.1));
  CHECK(smooth[0].y == 3);
  CHECK(smooth[250].x == 251);
  CHECK(smoothed({}).empty());
  CHECK(smoothed({{1, 5}}).size() == 1);
}

TEST_CASE("thinning keeps the extremes, in order") {
  std::vector<CurvePoint> points;
  for (int i = 0; i < 10000; ++i) points.push_back({static_cast<double>(i), std::sin(i)});
  points[4321].y = 50;
  points[8765].y = -50;
  const auto thin = thin_out(points, 100);
  CHECK(thin.size() <= 200);
  bool high = false, low = false;
  for (size_t i = 0; i < thin.size(); ++i) {
    if (i > 0) CHECK(thin[i].x > thin[i - 1].x);
    high |= thin[i].y == 50;
    low |= thin[i].y == -50;
  }
  CHECK(high);
  CHECK(low);
  CHECK(thin_out(points, 5000).size() == 10000);
}

TEST_CASE("the axis of bits leaves out the start of the run and nothing else") {
  LossCurve curve;
  for (int i = 0; i <= 1000; ++i)
    curve.train.push_back({static_cast<double>(i), i < 5 ? 8.0 : 3.0});
  curve.valid = {{1000, 2.5}, {1001, not_a_number}};
  curve.references = {{"order-1", 3.6}};
  const Axis axis = bits_axis(curve);
  CHECK(axis.low > 2.2);
  CHECK(axis.low < 2.5);
  CHECK(axis.high > 3.6);
  CHECK(axis.high < 4);
  CHECK(step_axis(curve).high == 1000);
}

TEST_CASE("no data, equal values and a single point still give an axis") {
  for (const LossCurve& curve :
       {LossCurve{}, LossCurve{.train = {{1, 2}}}, LossCurve{.train = {{1, not_a_number}}},
        LossCurve{.train = {{1, 2}, {2, 2}}}}) {
    CHECK(bits_axis(curve).high > bits_axis(curve).low);
    CHECK(step_axis(curve).high > 0);
    CHECK(bits_axis(curve).ticks.size() >= 2);
  }
}
