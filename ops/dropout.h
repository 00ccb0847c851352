/// Dropout. Srivastava et al. (2014).
#pragma once

#include <tenet/core/generator.h>
#include <tenet/core/kernel.h>
#include <tenet/core/view.h>

namespace tenet {

/// Each element is 0 with probability p, else x / (1 - p); x itself if not training or p is 0.
/// Element i (row-major) is kept iff uniform number i of the draw is >= p. Saves the draw's place,
/// no mask: the mask is made again when needed. Differentiable any number of times. Error unless 0
/// <= p <= 1 and x is floating.
Tensor dropout(const Tensor& x, double p, Generator& generator, bool training = true);
Tensor dropout(const Tensor& x, double p, bool training = true);

namespace detail {

/// y[i] = uniform i of the draw at key >= p ? x[i] * scale : 0; both are contiguous.
extern Kernel<void(View y, View x, PhiloxKey key, float p, float scale)> dropout_kernel;

}  // namespace detail
}  // namespace tenet
