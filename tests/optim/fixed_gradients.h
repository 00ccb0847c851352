/// Parameters and gradients for the tests of optimizers: fixed numbers that change from step to
/// step.
#pragma once

#include <device.h>
#include <tenet/core/generator.h>
#include <tenet/core/tensor.h>
#include <tenet/optim/optimizer.h>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

namespace tenet::test {

/// Normal numbers of a seed.
inline std::vector<double> normal_numbers(int64_t count, uint64_t seed) {
  const PhiloxKey key{seed, 0, 0};
  std::vector<double> values;
  for (int64_t i = 0; i < count; ++i) {
    values.push_back(static_cast<double>(philox_normal(key, static_cast<uint64_t>(i))));
  }
  return values;
}

inline Tensor normal_tensor(const Shape& shape, uint64_t seed, DType dtype = DType::f32) {
  return from_vector(normal_numbers(shape.numel(), seed), shape, {dtype, test_device()});
}

/// A parameter of normal numbers.
inline Tensor make_parameter(const Shape& shape, uint64_t seed, DType dtype = DType::f32) {
  Tensor tensor = normal_tensor(shape, seed, dtype);
  tensor.set_requires_grad(true);
  return tensor;
}

/// Gives parameter i the gradient of step `step`.
inline void set_gradients(const std::vector<Tensor>& parameters, int64_t step) {
  for (size_t i = 0; i < parameters.size(); ++i) {
    const uint64_t seed = 1000 + 100 * static_cast<uint64_t>(step) + i;
    parameters[i].set_grad(normal_tensor(parameters[i].shape(), seed, parameters[i].dtype()));
  }
}

inline std::vector<std::vector<float>> values_of(const std::vector<Tensor>& tensors) {
  std::vector<std::vector<float>> values;
  for (const Tensor& tensor : tensors) values.push_back(tensor.to_vector<float>());
  return values;
}

/// The largest |a - b| / (1 + |b|); NaN counts as infinite.
inline double largest_error(const std::vector<double>& got, const std::vector<double>& want) {
  REQUIRE(got.size() == want.size());
  double largest = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double error = std::abs(got[i] - want[i]) / (1 + std::abs(want[i]));
    largest = error <= largest ? largest : error;
  }
  return largest;
}

/// The error of a parameter after `steps` steps of an optimizer: rule(i, step, dw, w) gives what
/// element w becomes in step `step`, counted from 0.
template <class O, class Options, class Rule>
double error_of_steps(const Options& options, int steps, Rule rule) {
  const Tensor parameter = make_parameter({257}, 4, DType::f64);
  O optimizer(std::vector{parameter}, options);
  std::vector<double> want = parameter.to_vector<double>();
  for (int step = 0; step < steps; ++step) {
    set_gradients({parameter}, step);
    const std::vector<double> dw = parameter.grad().to_vector<double>();
    optimizer.step();
    for (size_t i = 0; i < want.size(); ++i) want[i] = rule(i, step, dw[i], want[i]);
  }
  return largest_error(parameter.to_vector<double>(), want);
}

}  // namespace tenet::test
