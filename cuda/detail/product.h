/// Products of matrices on the GPU, below tensors.
#pragma once

#include <tenet/core/view.h>
#include <tenet/cuda/detail/product_plan.h>

namespace tenet::cuda {

/// C[b] = A[b] B[b] + bias, or C[b] += ..., as of tenet::detail::gemm(), whose operands these are;
/// A and B may be f32 where the type is a half one, and are rounded to it first. bias is read in
/// C's type.
void product(Gemm g, Rows rows);

/// The matrices of the last two axes of `v`.
MatrixView matrices(const View& v);

}  // namespace tenet::cuda
