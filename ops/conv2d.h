/// Convolution of images.
#pragma once

#include <tenet/core/kernel.h>
#include <tenet/core/tensor.h>
#include <tenet/core/view.h>
#include <tenet/ops/size2d.h>

namespace tenet {

/// How conv2d() moves its kernel.
struct Conv2dOptions {
  Size2d stride = 1, padding = 0, dilation = 1;  // in elements of x
  int64_t groups = 1;  // into which both kinds of channels fall; each sees its own alone
};

/// y[n, o, i, j] = bias[o] + sum_{c, a, b} weight[o, c, a, b] x[n, c', i s - p + a d, j s - p +
/// b d] with stride s, padding p (zeros) and dilation d of the axis, c' channel c of o's group.
/// x (N, C, H, W), weight (O, C / groups, KH, KW), bias (O,) or undefined, y (N, O, H', W') with
/// H' = floor((H + 2 p - d (KH - 1) - 1) / s) + 1.
///
/// Floats only, promoted to one type, under Autocast its own; half types are added up in f32 and
/// rounded once. An image's result does not depend on the batch around it. Work space is bounded,
/// whatever the batch. Differentiable any number of times. Errors:
/// `conv2d: x has shape (2, 3, 8, 8), weight (4, 2, 3, 3) with 1 group(s) takes 2 channels`;
/// `conv2d: kernel 5 x 5 with dilation 1 x 1 is larger than 3 x 3 with padding 0 x 0`.
Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
              const Conv2dOptions& options = {});

namespace detail {

/// y = conv2d(x, w, bias). All views here are contiguous and of one floating type; bias may have
/// null data.
extern Kernel<void(View y, View x, View w, View bias, const Conv2dOptions& options)> conv2d_kernel;
/// dx = the gradient of sum(dy * conv2d(x, w)) by x.
extern Kernel<void(View dx, View dy, View w, const Conv2dOptions& options)> conv2d_input_kernel;
/// dw = the same by w: blocks of positions that depend on the sizes alone, added in order.
extern Kernel<void(View dw, View dy, View x, const Conv2dOptions& options)> conv2d_weight_kernel;

}  // namespace detail
}  // namespace tenet
