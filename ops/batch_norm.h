/// Batch normalisation. Ioffe, Szegedy, "Batch Normalization" (2015).
#pragma once

#include <tenet/core/kernel.h>
#include <tenet/core/tensor.h>
#include <tenet/core/view.h>

namespace tenet {

/// What batch_norm() does beside centring and scaling.
struct BatchNormOptions {
  Tensor weight = {}, bias = {};  // (C,); undefined: 1 and 0
  double epsilon = 1e-5;          // added to the variance
};

/// What batch_norm() gives in training.
struct BatchNormOutput {
  Tensor y;               // of x's shape and type
  Tensor mean, variance;  // (C,), outside the graph; biased: divided by the count
};

/// y = (x - mean) / sqrt(variance + epsilon) * weight + bias with the mean and the biased variance
/// of each channel of x (N, C, ...) over all other axes: what a layer does in training. Floats
/// only; statistics are f32 for the half types. Differentiable any number of times. Error, as in
/// PyTorch: `batch_norm: x (1, 3, 1, 1) has one value per channel, training needs more`.
BatchNormOutput batch_norm(const Tensor& x, const BatchNormOptions& options = {});

/// The same with a mean and a variance (C,) that are given: what a layer does in evaluation. An
/// image's result does not depend on the batch around it. Differentiable by both, too.
Tensor batch_norm(const Tensor& x, const Tensor& mean, const Tensor& variance,
                  const BatchNormOptions& options = {});

namespace detail {

/// x: (N, C, elements), contiguous; mean, variance: (C,), of the accumulation type.
extern Kernel<void(View mean, View variance, View x)> channel_statistics_kernel;

/// y, x: (N, C, elements), contiguous; mean, variance: (C,) of the accumulation type; weight, bias:
/// (C,) of x's type, contiguous, or null data.
struct ChannelNorm {
  View y, x, mean, variance, weight, bias;
  double epsilon;
};
/// dx, dweight, dbias with null data are not wanted.
struct BatchNormBackward {
  View dx, dweight, dbias, dy, x, mean, variance, weight;
  double epsilon;
};
extern Kernel<void(const ChannelNorm&)> channel_norm_kernel;
extern Kernel<void(const BatchNormBackward&)> batch_norm_backward_kernel;

}  // namespace detail
}  // namespace tenet
