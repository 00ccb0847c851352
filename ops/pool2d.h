/// Pooling: one number for each window of an image. As PyTorch's functions of the same names, with
/// sizes rounded down: y (N, C, H', W') of x (N, C, H, W), H' = floor((H + 2 p - k) / s) + 1.
///
/// Floats only; half types are added up in f32. An image's result does not depend on the batch
/// around it. Differentiable any number of times. The mean over whole planes is mean(x, {2, 3}).
#pragma once

#include <tenet/core/kernel.h>
#include <tenet/core/tensor.h>
#include <tenet/core/view.h>
#include <tenet/ops/size2d.h>

namespace tenet {

/// How max_pool2d() moves its window.
struct MaxPool2dOptions {
  Size2d stride = 0;   // 0: the kernel's size
  Size2d padding = 0;  // at most half of the kernel
};

/// How avg_pool2d() moves its window and what it divides by.
struct AvgPool2dOptions {
  Size2d stride = 0;              // 0: the kernel's size
  Size2d padding = 0;             // at most half of the kernel
  bool count_include_pad = true;  // divide by the kernel's size; if not, by the elements that count
};

/// The largest element of each window; padding counts as -inf. NaN if there is one. The gradient
/// goes to the first place, in row-major order, that holds it. Error: `max_pool2d: padding 2 x 2 is
/// more than half of kernel 3 x 3`.
Tensor max_pool2d(const Tensor& x, Size2d kernel, const MaxPool2dOptions& options = {});

/// The mean of each window; padding counts as 0, or not at all without count_include_pad.
Tensor avg_pool2d(const Tensor& x, Size2d kernel, const AvgPool2dOptions& options = {});

namespace detail {

struct Window;

/// y (planes, windows) = the extremes of x (planes, elements) and where in the plane they are;
/// index is i32. All views here are contiguous.
extern Kernel<void(View y, View index, View x, const Window& window)> max_pool2d_kernel;
/// y[p, q] = x[p, index[p, q]].
extern Kernel<void(View y, View x, View index)> pick_kernel;
/// x[p, i] = the sum of y[p, q] where index[p, q] = i, in order of q.
extern Kernel<void(View x, View y, View index)> unpick_kernel;
/// y (planes, windows) = the means of x (planes, elements).
extern Kernel<void(View y, View x, const Window& window, bool count_padding)> avg_pool2d_kernel;
/// x = its transpose: y / count added wherever it was read, in order of windows.
extern Kernel<void(View x, View y, const Window& window, bool count_padding)> avg_unpool2d_kernel;

}  // namespace detail
}  // namespace tenet
