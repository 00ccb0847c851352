/// Layer normalisation. Ba, Kiros, Hinton, "Layer Normalization" (2016).
#pragma once

#include <tenet/core/kernel.h>
#include <tenet/core/tensor.h>
#include <tenet/core/view.h>

namespace tenet {

/// y = (x - mean) * rstd * weight + bias over the last axis, rstd = 1 / sqrt(var + eps), biased
/// variance. weight and bias have shape (D,); undefined ones are 1 and 0. Row statistics are f32
/// for the half types. fixed32 x is read as decode(x), without a copy of it. Errors:
/// `layer_norm: weight has shape (3,), the last axis of x (2, 4) has size 4`.
Tensor layer_norm(const Tensor& x, const Tensor& weight = {}, const Tensor& bias = {},
                  double eps = 1e-5);

namespace detail {

/// x, y: (rows, D), contiguous, of one type, or x fixed32 and y f32; mean, rstd: (rows,) of the
/// accumulation type; weight, bias: (D,), contiguous, or null data.
struct LayerNormForward {
  View y, mean, rstd, x, weight, bias;
  double eps;
  int fraction_bits = 0;  // of x that is fixed32
};
/// dx, dweight, dbias with null data are not wanted. dweight and dbias add blocks of 1,024 rows in
/// order.
struct LayerNormBackward {
  View dx, dweight, dbias, dy, x, mean, rstd, weight;
  int fraction_bits = 0;  // of x that is fixed32
};
extern Kernel<void(const LayerNormForward&)> layer_norm_kernel;
extern Kernel<void(const LayerNormBackward&)> layer_norm_backward_kernel;

}  // namespace detail
}  // namespace tenet
