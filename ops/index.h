/// Reading and adding at places that an index tensor (i32 or i64) names. Indices count from 0; one
/// outside is an Error with the first bad index: `gather: index 7 at position 2 is outside 0..3`,
/// where the position is row-major.
#pragma once

#include <tenet/core/kernel.h>
#include <tenet/core/tensor.h>
#include <tenet/core/view.h>

#include <limits>

namespace tenet {

/// y[.., i, ..] = x[.., index[i], ..]: whole slices; index (m,). Accepts fixed32.
Tensor index_select(const Tensor& x, int axis, const Tensor& index);
/// y[.., i, ..] = x[.., index[.., i, ..], ..]: index has x's number of axes, and y index's shape;
/// along the other axes index is no longer than x.
Tensor gather(const Tensor& x, const Tensor& index, int axis);
/// gather() after broadcasting index and x against each other along the other axes, as NumPy's
/// take_along_axis.
Tensor take_along(const Tensor& x, const Tensor& index, int axis);
/// y = x, then y[.., index[.., i, ..], ..] += src[.., i, ..] in order of i; src has index's shape.
Tensor scatter_add(const Tensor& x, const Tensor& index, const Tensor& src, int axis);

/// y[..., v] = 1 where indices[...] is v, else 0; v < classes.
Tensor one_hot(const Tensor& indices, int64_t classes, DType dtype = DType::f32);
/// x with `value` where mask, which broadcasts to x, is true.
Tensor masked_fill(const Tensor& x, const Tensor& mask, Scalar value);

namespace detail {

/// What check_index_kernel takes for "nothing is ignored".
inline constexpr int64_t no_index = std::numeric_limits<int64_t>::min();

/// Raises the Error for the first element of the contiguous i64 `index` outside [0, n) other than
/// `ignored`. Kernels get only indices that passed.
extern Kernel<void(View index, int64_t n, int64_t ignored, const char* op)> check_index_kernel;
/// y (outer, m, inner) = rows index (m,) of x (outer, n, inner); any type.
extern Kernel<void(View y, View x, View index)> gather_rows_kernel;
/// x (outer, n, inner) += rows of src (outer, m, inner) at index (m,), in order of m.
extern Kernel<void(View x, View index, View src)> add_rows_kernel;
/// y[.., i] = x[.., index[.., i]]; any type.
extern Kernel<void(View y, View x, View index)> gather_kernel;
/// x[.., index[.., i]] += src[.., i], in order of i.
extern Kernel<void(View x, View index, View src)> scatter_add_kernel;

/// gather() at i64 places that are known to be in range; axis >= 0.
Tensor gather_at(const Tensor& x, const Tensor& at, int axis);
/// x with `axis` replaced by index's axes, entry by entry the slice that index names. `op` names
/// node and errors.
Tensor gather_rows(const Tensor& x, int axis, const Tensor& index, const char* op);
/// Its gradient: zeros of `shape` with the slices of src added.
Tensor add_rows(const Tensor& src, int axis, const Tensor& index, const Shape& shape,
                const char* op);

}  // namespace detail
}  // namespace tenet
