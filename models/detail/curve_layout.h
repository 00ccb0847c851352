/// The numbers behind a picture of a training run: what is drawn, and how far its axes reach.
#pragma once

#include <tenet/models/plot.h>

#include <cstddef>
#include <vector>

namespace tenet::detail {

/// An axis from `low` to `high` with ticks at round numbers (1, 2 or 5 times a power of ten apart).
struct Axis {
  double low = 0, high = 1;
  std::vector<double> ticks = {};
  int decimals = 0;  // that tell the ticks apart

  double place(double value) const { return (value - low) / (high - low); }
};

/// An axis over [low, high]; at most `max_ticks` ticks, whole numbers apart if `whole`.
Axis make_axis(double low, double high, int max_ticks, bool whole = false);

/// From step 0 to the last one drawn.
Axis step_axis(const LossCurve& curve);

/// Over everything but the high raw losses at the start of a run, which would flatten the rest: of
/// the training curve it holds the smoothed values after the first 2 % of the points.
Axis bits_axis(const LossCurve& curve);

/// The points whose coordinates are finite.
std::vector<CurvePoint> finite(const std::vector<CurvePoint>& points);

/// The mean of each finite point and its neighbours, 1 % of all on either side and less at the
/// ends.
std::vector<CurvePoint> smoothed(const std::vector<CurvePoint>& points);

/// The lowest and the highest of each of `bins` runs of finite points, in order; all points if they
/// are that few.
std::vector<CurvePoint> thin_out(const std::vector<CurvePoint>& points, size_t bins = 800);

}  // namespace tenet::detail
