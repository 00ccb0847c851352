/// Softmax and its logarithm along one axis. Half types are computed in f32.
#pragma once

#include <tenet/core/kernel.h>
#include <tenet/core/tensor.h>
#include <tenet/core/view.h>

namespace tenet {

/// y = exp(x - max(x)) / sum(exp(x - max(x))). A row that is -inf throughout gives zeros. Floats
/// only.
Tensor softmax(const Tensor& x, int axis = -1);
/// y = x - logsumexp(x). A row that is -inf throughout gives -inf. Floats only.
Tensor log_softmax(const Tensor& x, int axis = -1);

namespace detail {

/// Along the last axis; all operands have one shape and may be strided.
extern Kernel<void(View y, View x)> softmax_kernel;
extern Kernel<void(View y, View x)> log_softmax_kernel;
/// dx = y * (dy - sum(dy * y))
extern Kernel<void(View dx, View y, View dy)> softmax_backward_kernel;
/// dx = dy - exp(y) * sum(dy)
extern Kernel<void(View dx, View y, View dy)> log_softmax_backward_kernel;

}  // namespace detail
}  // namespace tenet
