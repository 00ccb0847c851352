/// Products of few rows with a transposed matrix, which read it once and copy nothing.
#pragma once

#include <tenet/ops/gemm/detail/micro.h>

namespace tenet::detail {

/// Rows that share one transposition of B: with it, their sums fit the registers.
inline constexpr int few_rows_height = vector_bytes == 64 ? 8 : 4;

/// Whether few_rows_product() takes this product: with more rows, packing B pays. B's columns are
/// dense, as in a layer's forward pass.
template <class T>
bool few_rows_takes(int64_t m, const Strided<T>& b) {
  return m <= 2 * few_rows_height && b.row == 1;
}

/// c = A B, or c += A B, to the bits of blocked_product(), where few_rows_takes() it.
template <class T>
void few_rows_product(int64_t m, int64_t n, int64_t k, Strided<T> a, Strided<T> b, T* c,
                      int64_t ldc, bool add);

}  // namespace tenet::detail
