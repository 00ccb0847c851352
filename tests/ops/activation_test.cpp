#include <doctest/doctest.h>
#include <ops/array.h>
#include <ops/op_case.h>
#include <tenet/ops/activation.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/stream.h>

#include <cmath>

using namespace tenet;
using namespace tenet::test;

namespace {

OpCase activation(OpCase row, Tensor (*function)(const Tensor&), double (*reference)(double)) {
  if (row.inputs.empty()) row.inputs = {{.shape = {3, 7}, .low = -4.7, .high = 4.7}};
  row.function = [function](const Tensors& x) { return function(x[0]); };
  row.reference = each(std::function<double(double)>(reference));
  row.types = real_types;
  row.shapes = {{{}}, {{0, 3}}, {{1}}, {{2, 1, 3}}, {{5, 7}}};
  row.extremes = real_extremes();
  const Tensor stream = encode(zeros({2}));
  row.errors = {{[=] { function(stream); }, row.op + ": fixed-point stream; decode() it first"}};
  return row;
}

double elu_of(double x, double alpha) { return x > 0 ? x : alpha * std::expm1(x); }

/// x tanh(log(1 + e^x)); tanh is 1 before e^x overflows.
double mish_of(double x) { return x * std::tanh(x > 100 ? x : std::log1p(std::exp(x))); }

double log_sigmoid_of(double x) {
  return std::isnan(x) ? x : std::min(x, 0.0) - std::log1p(std::exp(-std::abs(x)));
}

double hardsigmoid_of(double x) {
  return std::isnan(x) ? x : std::min(std::max(x / 6 + 0.5, 0.0), 1.0);
}

}  // namespace

TEST_CASE("op table: rectifiers") {
  run(activation(
      {.op = "leaky_relu"}, [](const Tensor& x) { return leaky_relu(x, 0.2); },
      [](double x) { return x < 0 ? 0.2 * x : x; }));
  run(activation(
      {.op = "elu"}, [](const Tensor& x) { return elu(x, 1.3); },
      [](double x) { return elu_of(x, 1.3); }));
  run(activation({.op = "selu"}, selu, [](double x) {
    return 1.0507009873554804934 * elu_of(x, 1.6732632423543772848);
  }));
}

TEST_CASE("op table: piecewise and smooth gates") {
  run(activation({.op = "hardsigmoid"}, hardsigmoid, hardsigmoid_of));
  run(activation({.op = "hardswish"}, hardswish,
                 [](double x) { return x <= -3 ? 0 : x * hardsigmoid_of(x); }));
  run(activation({.op = "mish"}, mish, mish_of));
  run(activation({.op = "log_sigmoid"}, log_sigmoid, log_sigmoid_of));
}

TEST_CASE("op table: glu") {
  OpCase row{.op = "glu", .inputs = {{.shape = {2, 6, 3}}}};
  row.function = [](const Tensors& x) { return glu(x[0], 1); };
  row.reference = [](const Arrays& x) {
    Shape shape = x[0].shape;
    shape[1] /= 2;
    return array_of(shape, [&](Index index) {
      const double a = at(x[0], index);
      index[1] += shape[1];
      return a / (1 + std::exp(-at(x[0], index)));
    });
  };
  row.types = real_types;
  row.shapes = {{{1, 2, 1}}, {{3, 0, 2}}};
  row.errors = {{[] { glu(zeros({2, 3})); }, "glu: axis -1 of shape (2, 3) has odd size 3"}};
  run(row);
}

TEST_CASE("elu is accurate near 0 and bounded below") {
  for (const double x : {-1e-7, -1e-4, -0.3, -2.0, -30.0}) {
    const double got = elu(scalar(x, {.dtype = DType::f32})).item<double>();
    CHECK(got == doctest::Approx(std::expm1(static_cast<float>(x))).epsilon(1e-6));
  }
}
