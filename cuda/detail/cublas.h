/// Products by cuBLASLt.
#pragma once

#include <tenet/cuda/detail/product_plan.h>

namespace tenet::cuda {

struct LtOperands {
  const void *a, *b;
  void* c;
  const void* bias;  // aligned to 16 bytes, of C's type; null where the shape says there is none
  bool accumulate;   // C += A B + bias
};

/// Enqueues the product on the current device. False: cuBLASLt has no algorithm for it, nothing is
/// done. Error: `cuda: cublasLtMatmul: the library's text`.
bool lt_product(const LtShape& shape, Rows rows, const LtOperands& operands);

}  // namespace tenet::cuda
