/// Gradients against central differences in f64, with a random cotangent: with the sum as the loss,
/// a softmax backward that returns 0 would pass.
#pragma once

#include <tenet/core/autograd.h>

#include <functional>
#include <string>

namespace tenet::test {

struct GradcheckOptions {
  double step = 1e-5;
  double tolerance = 1e-6;  // of |numeric - analytic| / max(1, |numeric|)
  uint64_t seed = 1;
  bool strided_dy = false;  // hand the backward pass a cotangent with strides
};

struct GradcheckResult {
  double error = 0;   // the largest; NaN if any was NaN
  std::string worst;  // "input 0, element 3: numeric 1.5, analytic 0"
  int64_t checked = 0;
};

using TensorFunction = std::function<Tensors(const Tensors&)>;

/// Compares the gradient of <c, f(xs)>, c random, with respect to every f64 element of `xs` that
/// needs a gradient. `f` must give the same numbers whenever it is called; xs may be strided
/// leaves. Elements are perturbed in place.
GradcheckResult gradcheck(const TensorFunction& f, const Tensors& xs,
                          const GradcheckOptions& options = {});

/// The same for the gradient itself as a function of xs and of the cotangent.
GradcheckResult gradgradcheck(const TensorFunction& f, const Tensors& xs,
                              const GradcheckOptions& options = {});

/// CHECKs one of them and, on failure, prints `name`, input, element, numeric and analytic value.
void check_gradients(const std::string& name, const TensorFunction& f, const Tensors& xs,
                     const GradcheckOptions& options = {});
void check_second_gradients(const std::string& name, const TensorFunction& f, const Tensors& xs,
                            const GradcheckOptions& options = {});

/// An f64 leaf with uniform random elements in [low, high).
Tensor random_leaf(Shape shape, uint64_t seed, double low = -1, double high = 1);
/// The same values in memory with gaps and the axes in reverse order.
Tensor strided_copy(const Tensor& x);

}  // namespace tenet::test
