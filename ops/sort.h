/// Sorting along an axis. Stable; NaN counts as larger than every number.
#pragma once

#include <tenet/core/kernel.h>
#include <tenet/core/tensor.h>
#include <tenet/core/view.h>

namespace tenet {

/// values = take_along(x, indices, axis); gradients go through the values. indices: i64.
struct Sorted {
  Tensor values;   // the elements in order
  Tensor indices;  // where each was along the axis
};

/// Ascending, or descending; equal elements keep their order in both. argsort() gives the indices
/// alone.
Sorted sort(const Tensor& x, int axis = -1, bool descending = false);
Tensor argsort(const Tensor& x, int axis = -1, bool descending = false);
/// The k largest elements, largest first. Error: `top_k: k 5 is outside 0..3, the size of axis 0`.
Sorted top_k(const Tensor& x, int64_t k, int axis = -1);

namespace detail {

/// indices (.., k): the places of the first k elements of each row of x (.., n) in sorted order.
extern Kernel<void(View indices, View x, bool descending)> argsort_kernel;

}  // namespace detail
}  // namespace tenet
