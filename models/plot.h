/// Pictures of a training run.
#pragma once

#include <string>
#include <vector>

namespace tenet {

/// A point of a curve.
struct CurvePoint {
  double x, y;  // the step, and bits per byte
};

/// A level to compare a curve with.
struct ReferenceLine {
  std::string label;  // its name
  double y;           // bits per byte
};

/// What a picture of a training run shows: x is the step, y bits per byte.
struct LossCurve {
  std::string title = {};              // above the picture
  std::vector<CurvePoint> train = {};  // one per logged step: drawn faint, and smoothed on top
  std::vector<CurvePoint> valid = {};  // drawn as dots
  std::vector<ReferenceLine> references =
      {};  // dashed lines to compare with, named in the right margin
};

/// Whether this build can draw, i.e. was made with cairo.
bool can_plot();

/// Draws the curve into both files, each replaced atomically; values that are not finite are left
/// out. Without cairo it writes nothing and returns false. Error: a file cannot be written.
bool write_loss_curve(const std::string& svg_path, const std::string& png_path,
                      const LossCurve& curve);

}  // namespace tenet
