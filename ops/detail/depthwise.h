/// Convolutions with one channel a group, where products of matrices have nothing to share: plain
/// loops over whole planes with their padding.
#pragma once

#include <tenet/ops/detail/conv2d_sizes.h>

namespace tenet::detail {

/// Also whether a padded plane is at most nine times the plane.
inline bool is_depthwise(const ConvSizes& s) {
  const WindowAxis &rows = s.window.rows, &columns = s.window.columns;
  return s.channels == 1 && s.outputs <= 4 && rows.padding <= rows.size &&
         columns.padding <= columns.size;
}

void depthwise_output(const ConvSizes& s, const View& y, const View& x, const View& w,
                      const View& bias);
void depthwise_input(const ConvSizes& s, const View& dx, const View& dy, const View& w);
void depthwise_weight(const ConvSizes& s, const View& dw, const View& dy, const View& x);

}  // namespace tenet::detail
