/// What the tests of modules share: references in double on plain vectors, gradients of a whole
/// module, bits.
#pragma once

#include <compare.h>
#include <device.h>
#include <tenet/core/generator.h>
#include <tenet/core/grad_mode.h>
#include <tenet/nn/module.h>
#include <tenet/ops/creation.h>

#include <doctest/doctest.h>
#include <gradcheck.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

namespace tenet::test {

using Numbers = std::vector<double>;

/// The largest |got - want| over the larger of 1 and the largest |want|; NaN counts as infinite.
inline double error_of(const Tensor& got, const Numbers& want) {
  const Numbers values = got.contiguous().to_vector<double>();
  REQUIRE(values.size() == want.size());
  double largest = 0, size = 1;
  for (size_t i = 0; i < want.size(); ++i) {
    size = std::max(size, std::abs(want[i]));
    const double error = std::abs(values[i] - want[i]);
    if (!(error <= largest)) largest = std::isnan(error) ? INFINITY : error;
  }
  return largest / size;
}

inline Tensor normal(const Shape& shape, uint64_t seed, DType dtype = DType::f32) {
  Generator generator(seed, 77);
  return randn(shape, generator, {.device = test_device()}).to(dtype);
}

/// x W^T + b for rows x of width `in`.
inline Numbers affine(const Numbers& x, const Tensor& weight, const Tensor& bias = {}) {
  const auto out = static_cast<size_t>(weight.size(0)), in = static_cast<size_t>(weight.size(1));
  const Numbers w = weight.to_vector<double>();
  const Numbers b = bias.defined() ? bias.to_vector<double>() : Numbers(out);
  Numbers y;
  for (size_t row = 0; row < x.size() / in; ++row) {
    for (size_t o = 0; o < out; ++o) {
      double sum = b[o];
      for (size_t i = 0; i < in; ++i) sum += x[row * in + i] * w[o * in + i];
      y.push_back(sum);
    }
  }
  return y;
}

inline Tensor parameter(const nn::Module& module, const std::string& name) {
  for (const auto& [path, tensor] : module.named_parameters()) {
    if (path == name) return tensor;
  }
  FAIL("no parameter " << name);
  return {};
}

/// Checks the gradients of x (f64) and of all parameters through y = module(x). The module becomes
/// f64.
template <class M>
void check_module_gradients(const std::string& name, M& module, const Tensor& x,
                            const std::function<Tensor(const Tensor&)>& call) {
  module.to(DType::f64);
  Tensors leaves{x.to(DType::f64).detach().clone().set_requires_grad(true)};
  for (const Tensor& leaf : module.parameters()) leaves.push_back(leaf);
  check_gradients(
      name, [&](const Tensors& xs) { return Tensors{call(xs[0])}; }, leaves);
}

inline std::vector<std::string> parameter_names(const nn::Module& module) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : module.named_parameters()) names.push_back(name);
  return names;
}

using Names = std::vector<std::string>;

}  // namespace tenet::test
