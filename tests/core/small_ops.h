/// Small differentiable ops for the engine's own tests: plain loops, apart from ops/.
#pragma once

#include <compare.h>
#include <tenet/core/autograd.h>
#include <tenet/core/error.h>
#include <tenet/core/tensor.h>
#include <tenet/core/view.h>

#include <string>
#include <vector>

namespace tenet::test {

/// a + b, a - b, a * b of equal shapes; f32 or f64.
Tensor plus(const Tensor& a, const Tensor& b);
Tensor minus(const Tensor& a, const Tensor& b);
Tensor times(const Tensor& a, const Tensor& b);
Tensor tanh_of(const Tensor& x);
/// The sum of all elements, and its transpose: a number spread over a shape.
Tensor total(const Tensor& x);
Tensor spread(const Tensor& x, const Shape& shape);
/// Matrices: a (m, k) times b (k, n), and the transpose as a view.
Tensor product(const Tensor& a, const Tensor& b);
Tensor transposed(const Tensor& x);
/// sum(x * weights), for a loss whose gradient is not constant over x.
Tensor weighted(const Tensor& x, const Tensor& weights);

/// f32 to fixed32 with 16 fraction bits and back, and wrapping q +- round(delta * 2^16); gradients
/// are the identity.
Tensor to_fixed(const Tensor& x);
Tensor from_fixed(const Tensor& q);
Tensor fixed_plus(const Tensor& q, const Tensor& delta);
Tensor fixed_minus(const Tensor& q, const Tensor& delta);

/// Numbers of a fixed pattern in (-1, 1) that look random.
Tensor pattern(Shape shape, int seed, DType dtype = DType::f32);
Tensor leaf(Shape shape, int seed, DType dtype = DType::f32);

/// The largest |a - b|; infinite if the sizes differ.
double max_difference(const Tensor& a, const Tensor& b);

/// Live bytes of activations and workspace.
int64_t working_bytes();

/// The text of the Error that f throws; empty if it throws none.
template <class F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace tenet::test
