/// The blocked product of Tenet's own: any type, any strides, one thread.
#pragma once

#include <tenet/ops/gemm/detail/micro.h>

namespace tenet::detail {

/// Inner block of a sum over k; see Note [Order of products].
inline constexpr int64_t chain_block = 256;

/// c = A B, or c += A B, where A is m x k, B is k x n with k <= chain_block and c's rows are ldc
/// apart. `scratch` has blocked_scratch<T>(m) elements.
template <class T, class From>
void blocked_product(int64_t m, int64_t n, int64_t k, Strided<From> a, Strided<From> b, T* c,
                     int64_t ldc, bool add, T* scratch);

template <class T>
constexpr int64_t blocked_scratch(int64_t m) {
  return chain_block * (m + tile_rows + tile_columns<T>)+tile_rows * tile_columns<T> +
         4 * pack_slack<T>;
}

}  // namespace tenet::detail
