/// How a case of tests/reference/ops.safetensors is compared, by its kind.
///
/// Note [Measures]: references are PyTorch's results in f64 from inputs that each type of the
/// comparison holds; the cotangents too. What is compared is infinite where the type of the result
/// cannot hold it, and NaN must be NaN.
/// "numbers": in f32 and f64, the largest difference over the largest reference, at most 1e-5 and
/// 1e-12. In bf16 and f16, differences in units of the last place, at most 2: of the reference's
/// own for outputs, without a floor. For gradients, of the tensor's largest reference, since they
/// are made from rounded outputs and cancel; for sigmoid and tanh, whose y (1 - y) may lose every
/// digit of a tensor, PyTorch's gradient in the same type counts too.
/// "extremes": by element, relative to the reference (for gradients to 1 where that is smaller) or
/// in units of its last place; zeros have its sign. Gradients in f32 may also be PyTorch's in f32,
/// where intermediate results overflow; in half types they are not compared.
/// "types": equal, types too; 1e-5 where integers give f32.
#pragma once

#include <ops/recorded_ops.h>

namespace tenet::test {

/// Numbers and extremes, in every floating type that holds the inputs, contiguous and strided.
void compare_numbers(const RecordedCall& call, const RecordedCase& c, WorstFigures& figures);
/// Values and types.
void compare_types(const RecordedCall& call, const RecordedCase& c, WorstFigures& figures);
/// Whether outputs and gradients have PyTorch's types and numbers; false if the op throws.
bool agrees(const RecordedCall& call, const RecordedCase& c);
/// Whether the op throws Error.
bool refuses(const RecordedCall& call, const RecordedCase& c);

}  // namespace tenet::test
