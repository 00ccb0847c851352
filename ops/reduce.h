/// Reductions over one axis, several or all (the default); with keepdim the axes stay, of size 1.
///
/// Note [Order of sums]: the n reduced elements, in row-major order, form blocks of 1,024. In a
/// block, element i is added to accumulator i mod 16, in order; the 16 are added as a tree; blocks
/// are added in order, in f64. The result is a function of these n values alone: not of layout,
/// threads or other rows. Half types accumulate in f32.
#pragma once

#include <tenet/core/kernel.h>
#include <tenet/core/tensor.h>
#include <tenet/core/view.h>
#include <tenet/ops/axes.h>

namespace tenet {

/// Boolean and integers sum to i64.
Tensor sum(const Tensor& x, const Axes& axes = {}, bool keepdim = false);
/// sum / count; integers give f32. NaN over no elements.
Tensor mean(const Tensor& x, const Axes& axes = {}, bool keepdim = false);
/// sum((x - mean)^2) / (count - correction); correction 1 is unbiased, 0 biased. Floats only.
Tensor var(const Tensor& x, const Axes& axes = {}, bool keepdim = false, int correction = 1);
/// The Euclidean norm, sqrt(sum(x^2)). Floats only; its gradient at 0 is 0.
Tensor norm(const Tensor& x, const Axes& axes = {}, bool keepdim = false);
/// log(sum(exp(x))) without overflow; -inf over no elements. Floats only.
Tensor logsumexp(const Tensor& x, const Axes& axes = {}, bool keepdim = false);

/// The largest and the smallest element; NaN if there is one. The gradient goes to the first place
/// that holds it. Error over no elements: `max: no elements along the axes of shape (2, 0)`.
Tensor max(const Tensor& x, const Axes& axes = {}, bool keepdim = false);
Tensor min(const Tensor& x, const Axes& axes = {}, bool keepdim = false);
/// The first index of max() and min() along one axis, or in row-major order over all; i64.
Tensor argmax(const Tensor& x, const Axes& axes = {}, bool keepdim = false);
Tensor argmin(const Tensor& x, const Axes& axes = {}, bool keepdim = false);

/// y[i] = x[0] + ... + x[i] along `axis`, added in f64 (i64 for boolean and integers, which give
/// i64).
Tensor cumsum(const Tensor& x, int axis);

namespace detail {

/// y has x's number of axes, and size 1 along those that are reduced.
using ReduceKernel = Kernel<void(View y, View x)>;
extern ReduceKernel sum_kernel;        // y: x's type, or i64 for integers
extern ReduceKernel mean_kernel;       // floats
extern ReduceKernel norm_kernel;       // floats
extern ReduceKernel logsumexp_kernel;  // floats
extern ReduceKernel max_kernel;        // numbers and boolean
extern ReduceKernel min_kernel;
extern ReduceKernel argmax_kernel;  // y: i64, row-major over the reduced axes
extern ReduceKernel argmin_kernel;
extern Kernel<void(View y, View x, int correction)> var_kernel;
/// Along the last axis.
extern Kernel<void(View y, View x)> cumsum_kernel;

}  // namespace detail
}  // namespace tenet
