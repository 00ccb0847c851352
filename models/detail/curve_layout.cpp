#include <tenet/models/detail/curve_layout.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <limits>

namespace tenet::detail {
namespace {

/// 1, 2 or 5 times a power of ten, at least x.
double round_up(double x) {
  const double power = std::pow(10, std::floor(std::log10(x)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (x <= factor * power * (1 + 1e-9)) return factor * power;
  return 10 * power;
}

}  // namespace

Axis make_axis(double low, double high, int max_ticks, bool whole) {
  double step = round_up((high - low) / max_ticks);
  if (whole) step = std::max(step, 1.0);
  Axis axis{.low = low, .high = high};
  axis.decimals = std::max(0, -static_cast<int>(std::floor(std::log10(step) + 1e-9)));
  const double slack = 1e-9 * step;
  for (double k = std::ceil((low - slack) / step); k * step <= high + slack; ++k)
    axis.ticks.push_back(k * step + 0.0);  // no -0
  return axis;
}

Axis step_axis(const LossCurve& curve) {
  double last = 1;
  for (const auto* points : {&curve.train, &curve.valid})
    for (const CurvePoint& p : finite(*points)) last = std::max(last, p.x);
  return make_axis(0, last, 10, true);
}

Axis bits_axis(const LossCurve& curve) {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  const auto include = [&](double y) {
    if (!std::isfinite(y)) return;
    low = std::min(low, y);
    high = std::max(high, y);
  };
  const std::vector<CurvePoint> train = smoothed(curve.train);
  for (size_t i = train.size() / 50; i < train.size(); ++i) include(train[i].y);
  for (const CurvePoint& p : curve.valid) include(p.y);
  for (const ReferenceLine& line : curve.references) include(line.y);
  if (low > high) low = 0, high = 8;
  const double margin = std::max(0.06 * (high - low), 0.02);
  return make_axis(std::max(0.0, low - margin), high + margin, 10);
}

std::vector<CurvePoint> finite(const std::vector<CurvePoint>& points) {
  std::vector<CurvePoint> kept;
  std::copy_if(points.begin(), points.end(), std::back_inserter(kept),
               [](const CurvePoint& p) { return std::isfinite(p.x) && std::isfinite(p.y); });
  return kept;
}

std::vector<CurvePoint> smoothed(const std::vector<CurvePoint>& points) {
  std::vector<CurvePoint> result = finite(points);
  std::vector<double> sums = {0};
  for (const CurvePoint& p : result) sums.push_back(sums.back() + p.y);
  const size_t n = result.size();
  for (size_t i = 0; i < n; ++i) {
    const size_t reach = std::min(n / 100, i), end = std::min(i + reach + 1, n);
    result[i].y = (sums[end] - sums[i - reach]) / static_cast<double>(end - (i - reach));
  }
  return result;
}

std::vector<CurvePoint> thin_out(const std::vector<CurvePoint>& points, size_t bins) {
  std::vector<CurvePoint> all = finite(points);
  if (all.size() <= 2 * bins) return all;
  std::vector<CurvePoint> kept;
  for (size_t bin = 0; bin < bins; ++bin) {
    const auto begin = all.begin() + static_cast<int64_t>(all.size() * bin / bins);
    const auto end = all.begin() + static_cast<int64_t>(all.size() * (bin + 1) / bins);
    auto [low, high] = std::minmax_element(begin, end, [](auto& a, auto& b) { return a.y < b.y; });
    if (high < low) std::swap(low, high);
    kept.push_back(*low);
    if (high != low) kept.push_back(*high);
  }
  return kept;
}

}  // namespace tenet::detail
