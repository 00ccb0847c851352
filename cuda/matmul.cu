/// Matrix products on the GPU: cuBLASLt's, with f32 sums for the half types and no TF32; integers
/// by a kernel of our own. relu is a pass of its own, since cuBLASLt's would make NaN 0. See Note
/// [Rows on the GPU] and Note [Parts of long sums].
#include <tenet/cuda/detail/product.h>
#include <tenet/ops/matmul.h>

namespace tenet::cuda {
namespace {

using tenet::detail::MatmulOptions;

/// With the first factor transposed, rows of A are columns of what is multiplied, and k counts its
/// rows: a weight gradient.
Rows rows_of(const MatrixView& a, int64_t m, int64_t k) {
  const bool by_columns = m > 1 && k > 1 && a.column_stride != 1 && a.row_stride == 1;
  return by_columns ? Rows::summed : Rows::alike;
}

void matmul_cuda(View y, View a, View b, View bias, MatmulOptions options) {
  const int batch = y.dim() - 2;
  const int64_t m = y.shape[batch], k = a.shape[batch + 1];
  Gemm g{.m = m,
         .n = y.shape[batch + 1],
         .k = k,
         .batch = Shape(std::span(y.shape.begin(), static_cast<size_t>(batch))),
         .a = matrices(a),
         .b = matrices(b),
         .c = matrices(y),
         .bias = bias.data,
         .bias_dtype = bias.dtype,
         .bias_stride = bias.data ? bias.strides[0] : 0,
         .relu = options.relu,
         .type = options.type};
  product(g, rows_of(g.a, m, k));
}

const bool filled = tenet::detail::matmul_kernel.fill(Device::Kind::cuda, &matmul_cuda);

}  // namespace
}  // namespace tenet::cuda
