/// Ops that put tensors together, take them apart and move their elements along an axis. All accept
/// fixed32.
#pragma once

#include <tenet/core/tensor.h>

namespace tenet {

/// The tensors one after the other along `axis`, in their common type. Errors: no tensors; shapes
/// that differ elsewhere; fixed32 with another type or other fraction bits.
Tensor concatenate(const Tensors& tensors, int axis);
/// The tensors, all of one shape, along a new axis.
Tensor stack(const Tensors& tensors, int axis);
/// Views of consecutive parts of `axis`. Error: `split: sizes add up to 5, axis 0 has size 6`.
Tensors split(const Tensor& x, const std::vector<int64_t>& sizes, int axis);

/// x with `before` and `after` elements of `value` added along `axis`.
Tensor pad(const Tensor& x, int axis, int64_t before, int64_t after, Scalar value = 0);
/// x in reverse order along `axis`.
Tensor flip(const Tensor& x, int axis);
/// x moved by `shift` places along `axis`; what leaves at one end enters at the other.
Tensor roll(const Tensor& x, int64_t shift, int axis);

}  // namespace tenet
