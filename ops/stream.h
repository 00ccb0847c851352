/// The exact residual stream: fixed32 numbers that are added with wrap-around and therefore
/// subtract exactly.
///
/// All have the identity as gradient and save nothing: the gradient of a fixed32 tensor is f32,
/// that of delta has delta's type. On CUDA the errors of values are raised where the loss is read.
#pragma once

#include <tenet/core/kernel.h>
#include <tenet/core/view.h>

namespace tenet {

/// fixed32: rint(x * 2^fraction_bits) for x of any floating type.
/// Errors: fraction_bits outside 0 to 30; a value that is not finite or not below 2^(30 -
/// fraction_bits) in magnitude.
Tensor encode(const Tensor& x, int fraction_bits = 16);
/// f32: q * 2^-fraction_bits, rounded to nearest.
Tensor decode(const Tensor& q);

/// The stream after one block. fixed32 x: q + rint(delta * 2^fraction_bits) modulo 2^32; floating
/// x: x + delta in x's type. Errors: shapes that differ; for fixed32 a delta that is not finite,
/// and a delta or sum that reaches 2^(30 - fraction_bits), below which nothing can have wrapped.
Tensor coupling_add(const Tensor& x, const Tensor& delta);
/// The inverse: exact for fixed32, whatever coupling_add() was given; never an error of values.
Tensor coupling_sub(const Tensor& x, const Tensor& delta);

namespace detail {

extern Kernel<void(View q, View x, int fraction_bits)> encode_kernel;
extern Kernel<void(View y, View q, int fraction_bits)> decode_kernel;
extern Kernel<void(View y, View x, View delta, int fraction_bits)> coupling_add_kernel;
extern Kernel<void(View y, View x, View delta, int fraction_bits)> coupling_sub_kernel;

}  // namespace detail
}  // namespace tenet
