/// Writes into an existing tensor. Each counts as one in-place change of its storage; the type
/// never changes.
///
/// Only the source is broadcast. Errors: the tensor, or the source, is part of the graph while grad
/// mode is on (`add_: the tensor is part of the graph; use NoGrad or the functional form`); the
/// tensor repeats elements (stride 0); the result would have another type.
#pragma once

#include <tenet/core/kernel.h>
#include <tenet/core/view.h>

namespace tenet {

/// to = from, converted to to's type. The two may overlap.
void copy_(const Tensor& to, const Tensor& from);
/// Every element = value.
void fill_(const Tensor& x, Scalar value);
/// x += alpha * y.
void add_(const Tensor& x, const Tensor& y, Scalar alpha = 1);
/// x += value.
void add_(const Tensor& x, Scalar value);
/// x *= value.
void mul_(const Tensor& x, Scalar value);

namespace detail {

/// x[i] += alpha * y[i]; one type, one shape.
extern Kernel<void(View x, View y, Scalar alpha)> add_scaled_kernel;

}  // namespace detail
}  // namespace tenet
