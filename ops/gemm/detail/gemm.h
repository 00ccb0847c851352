/// Matrix products on the CPU, below tensors: plain pointers, sizes and strides.
///
/// Note [Order of products]. The bits of an element of a product are a function of its row of A,
/// its column of B and k alone, never of the other rows, the strides, the batch, the tiles or the
/// number of threads. In f32 and f64 an element is
///
///     sum over blocks of 1,024 k ( sum over blocks of 256 k ( fma chain over k ) ),   each sum
///     from left to right
///
/// and integers are exact modulo 2^w. f16 is converted to f32, and rounded once at the end. bf16
/// multiplies exactly and adds in f32: with AVX-512 in the order of the processor's tile registers
/// (see ops/detail/amx.h) or else of its vectors (see ops/detail/pairs.h), in one chain over blocks
/// of 1,024 k; elsewhere like f32. A sum over the rows of a batch (a weight gradient, where k
/// counts rows) therefore adds fixed blocks of 1,024 rows in order.
#pragma once

#include <tenet/core/dtype.h>
#include <tenet/core/shape.h>

#include <optional>

namespace tenet::detail {

/// One operand of a batched product. Element (i, j) of batch item b is at data[i * row_stride + j *
/// column_stride + sum_d b[d] * batch_strides[d]]. Strides count elements and are not negative; 0
/// repeats.
struct MatrixView {
  void* data = nullptr;
  DType dtype = DType::f32;
  int64_t row_stride = 0;
  int64_t column_stride = 1;
  Strides batch_strides = {};
};

/// C[b] = A[b] B[b] + bias, or C[b] += A[b] B[b] + bias. A is m x k, B is k x n, C is m x n;
/// batch_strides have the length of `batch`. A and B have one type of f32, f64, f16, bf16, u8, i32,
/// i64; C has that type, or f32 for the half types. No element of C lies at two places or overlaps
/// A, B or bias. With `relu`, negative elements of C then become 0.
struct Gemm {
  int64_t m = 0, n = 0, k = 0;
  Shape batch = {};
  MatrixView a = {}, b = {}, c = {};
  /// n numbers that every row of the product gets, or null. Floating products only, any floating
  /// type.
  const void* bias = nullptr;
  DType bias_dtype = DType::f32;
  int64_t bias_stride = 1;
  bool accumulate = false;
  bool relu = false;
  /// Where gemm_rounds() it: the type to which f32 operands are rounded. By default A's.
  std::optional<DType> type = {};
};

/// Whether a product in `type` takes f32 operands, whose numbers count as rounded to it.
bool gemm_rounds(DType type);

/// Throws OutOfMemory, and Error where a type has no product. Called inside a parallel region, it
/// stays on its thread.
void gemm(Gemm g);

}  // namespace tenet::detail
