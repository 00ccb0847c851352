/// Rows of a table by index.
#pragma once

#include <tenet/core/tensor.h>

namespace tenet {

/// y[..., :] = weight[indices[...], :]: weight (V, D), indices of any shape, i32 or i64, y
/// (indices' shape, D). The gradient adds the rows in order of position. Error: `embedding: index
/// 300 at position 5 is outside 0..257`.
Tensor embedding(const Tensor& weight, const Tensor& indices);

}  // namespace tenet
