/// The GPU's kernels of convolutions with one channel a group.
#pragma once

#include <tenet/ops/detail/conv2d_sizes.h>

namespace tenet::cuda {

void depthwise_output(const tenet::detail::ConvSizes& s, const View& y, const View& x,
                      const View& w, const View& bias);
void depthwise_input(const tenet::detail::ConvSizes& s, const View& dx, const View& dy,
                     const View& w);
void depthwise_weight(const tenet::detail::ConvSizes& s, const View& dw, const View& dy,
                      const View& x);

}  // namespace tenet::cuda
