/// Convolutions with one channel a group, where products of matrices have nothing to share: plain
/// loops over whole planes.
#pragma once

#include <tenet/ops/detail/conv2d_sizes.h>

namespace tenet::detail {

inline bool is_depthwise(const ConvSizes& s) { return s.channels == 1 && s.outputs <= 4; }

void depthwise_output(const ConvSizes& s, const View& y, const View& x, const View& w,
                      const View& bias);
void depthwise_input(const ConvSizes& s, const View& dx, const View& dy, const View& w);
void depthwise_weight(const ConvSizes& s, const View& dw, const View& dy, const View& x);

}  // namespace tenet::detail
