/// Matrix products and the affine map.
///
/// Operands are promoted to one type; under Autocast, the product is made in its type, which is
/// then the result's: f32 operands count as rounded to it, and their gradients are f32 sums that
/// are not rounded. Half types are added up in f32 and rounded once. Transposed and broadcast
/// operands are read in place. The order in which an element is added up is fixed, see Note [Order
/// of products] and, for GPUs, Note [Rows on the GPU]. All are differentiable any number of times.
#pragma once

#include <tenet/core/kernel.h>
#include <tenet/core/tensor.h>
#include <tenet/core/view.h>

namespace tenet {

/// y[..., i, j] = sum_k a[..., i, k] b[..., k, j], with the leading axes broadcast. A
/// one-dimensional a is a row, a one-dimensional b a column; that axis is not in the result.
/// Errors: `matmul: inner sizes differ, (2, 3) x (4, 5)`; `matmul: leading axes do not broadcast,
/// (2, 3, 4) x (3, 4, 5)`; a scalar; boolean.
Tensor matmul(const Tensor& a, const Tensor& b);

/// y = x weight^T + bias: x (..., in), weight (out, in), bias (out,) or undefined, y (..., out).
/// Floats only. dweight = dy^T x and dbias = sum(dy) add fixed blocks of rows in order.
/// Errors: `linear: x has shape (2, 3), weight (4, 5) takes 5 inputs`;
/// `linear: bias has shape (3,), weight (4, 5) gives 4 outputs`.
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias = {});

/// relu(linear(x, weight, bias)), to the bit, without a pass over the result of its own. Errors as
/// of linear().
Tensor linear_relu(const Tensor& x, const Tensor& weight, const Tensor& bias = {});

namespace detail {

/// How matmul_kernel makes its product.
struct MatmulOptions {
  DType type;         // of the product; f32 operands are rounded to it
  bool relu = false;  // negative elements of y become 0
};

/// y = a b + bias: a (.., m, k), b (.., k, n), y (.., m, n) with the same leading axes, in a and b
/// with stride 0 where they are broadcast; a and b have the product's type, or f32 for half types,
/// and so has y. bias (n,) is floating, or has null data.
extern Kernel<void(View y, View a, View b, View bias, MatmulOptions)> matmul_kernel;

}  // namespace detail
}  // namespace tenet
