/// Views: other shapes and orders of the same elements. They share the storage, accept every type
/// (fixed32 too), and their gradient is the opposite view, or zeros around it.
#pragma once

#include <tenet/core/tensor.h>
#include <tenet/ops/axes.h>

namespace tenet {

/// The elements in row-major order under another shape; one size may be -1 and is inferred. A view
/// where the strides allow one, else a copy. Error: `reshape: shape (2, 3) has 6 elements, (4, -1)
/// does not fit`.
Tensor reshape(const Tensor& x, Shape shape);
/// reshape() that never copies. Error: `view: shape (2, 3) with strides (1, 2) has no view of shape
/// (6,); use reshape`.
Tensor view(const Tensor& x, Shape shape);
/// Axes start_axis to end_axis merged into one.
Tensor flatten(const Tensor& x, int start_axis = 0, int end_axis = -1);

/// y's axis i is x's axis axes[i]. Error unless each axis is given once.
Tensor permute(const Tensor& x, const std::vector<int>& axes);
/// Axes a and b exchanged.
Tensor transpose(const Tensor& x, int a, int b);

/// x[..., start:stop:step, ...] as in NumPy: negative bounds count from the end, bounds outside are
/// cut. Error unless step >= 1.
Tensor slice(const Tensor& x, int axis, int64_t start, int64_t stop, int64_t step = 1);
/// x[..., index, ...] without that axis; a negative index counts from the end.
/// Error: `select: index 4 is outside axis 1 of size 3`.
Tensor select(const Tensor& x, int axis, int64_t index);
/// `count` slices of nearly equal size, the first ones larger by one; fewer if the axis is shorter.
Tensors chunk(const Tensor& x, int64_t count, int axis);

/// x broadcast to `shape`, with stride 0 along new and repeated axes.
Tensor expand(const Tensor& x, Shape shape);
/// Without the axes given, which must have size 1; by default without all axes of size 1.
Tensor squeeze(const Tensor& x, const Axes& axes = {});
/// A new axis of size 1 at `axis` of the result.
Tensor unsqueeze(const Tensor& x, int axis);

namespace detail {

/// x with `shape` sliced as slice() would: zeros, with x at start, start + step, ... The gradient
/// of slice().
Tensor unslice(const Tensor& x, const Shape& shape, int axis, int64_t start, int64_t step);
/// x's axes with `axis` moved to the end, and back.
Tensor move_to_back(const Tensor& x, int axis);
Tensor move_from_back(const Tensor& x, int axis);

}  // namespace detail
}  // namespace tenet
