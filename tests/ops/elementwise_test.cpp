#include <doctest/doctest.h>
#include <ops/op_case.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/elementwise.h>
#include <tenet/ops/stream.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <numbers>

using namespace tenet;
using namespace tenet::test;

namespace {

using Unary = Tensor (*)(const Tensor&);

/// A row for a function of real numbers on [-2, 2]; `op` is what its errors begin with.
OpCase real(OpCase row, Unary function, double (*reference)(double)) {
  if (row.inputs.empty()) row.inputs = {{.shape = {3, 4}}};
  row.function = [function](const Tensors& x) { return function(x[0]); };
  row.reference = each(std::function<double(double)>(reference));
  row.types = real_types;
  row.shapes = {{{}}, {{0, 3}}, {{1}}, {{2, 1, 3}}, {{5, 7}}};
  row.extremes = real_extremes();
  const Tensor stream = encode(zeros({2}));
  row.errors = {{[=] { function(stream); }, row.op + ": fixed-point stream; decode() it first"}};
  return row;
}

OpCase number(OpCase row, Unary function, double (*reference)(double)) {
  OpCase result = real(std::move(row), function, reference);
  result.types = number_types;
  return result;
}

OpCase predicate(OpCase row, Unary function, double (*reference)(double)) {
  OpCase result = real(std::move(row), function, reference);
  result.types = number_types;
  result.result = DType::boolean;
  result.differentiable = false;
  return result;
}

const std::vector<OpInput> positive{{.shape = {3, 4}, .low = 0.4, .high = 3}};
const std::vector<OpInput> with_zero{
    {.shape = {3, 4}, .low = -3, .high = 3, .values = {0, 1.5, -2}}};

double distribution(double x) { return 0.5 * std::erfc(-x * std::numbers::sqrt2 / 2); }
double logistic(double x) { return 1 / (1 + std::exp(-x)); }
double sign_of(double x) { return x > 0 ? 1 : x < 0 ? -1 : x; }
double gelu_tanh_of(double x) {
  return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
}
double softplus_of(double x) {
  return std::isnan(x) ? x : std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x)));
}

}  // namespace

TEST_CASE("op table: algebra of one number") {
  run(number({.op = "neg"}, neg, [](double x) { return -x; }));
  run(number({.op = "abs"}, abs, [](double x) { return std::abs(x); }));
  run(number({.op = "sign"}, sign, sign_of));
  run(number({.op = "square"}, square, [](double x) { return x * x; }));
  run(real({.op = "sqrt", .inputs = positive}, sqrt, [](double x) { return std::sqrt(x); }));
  run(real({.op = "rsqrt", .inputs = positive}, rsqrt, [](double x) { return 1 / std::sqrt(x); }));
  run(real({.op = "reciprocal", .inputs = positive}, reciprocal, [](double x) { return 1 / x; }));
}

TEST_CASE("op table: transcendental functions") {
  run(real({.op = "exp"}, exp, [](double x) { return std::exp(x); }));
  run(real({.op = "log", .inputs = positive}, log, [](double x) { return std::log(x); }));
  run(real({.op = "sin"}, sin, [](double x) { return std::sin(x); }));
  run(real({.op = "cos"}, cos, [](double x) { return std::cos(x); }));
  run(real({.op = "tanh"}, tanh, [](double x) { return std::tanh(x); }));
  run(real({.op = "erf"}, erf, [](double x) { return std::erf(x); }));
}

TEST_CASE("op table: activations") {
  run(real({.op = "sigmoid"}, sigmoid, logistic));
  run(number({.op = "relu"}, relu, [](double x) { return x < 0 ? 0 : x; }));
  run(real({.op = "gelu"}, gelu, [](double x) { return x * distribution(x); }));
  run(real({.op = "gelu_tanh"}, gelu_tanh, gelu_tanh_of));
  run(real({.op = "silu"}, silu, [](double x) { return x * logistic(x); }));
  run(real({.op = "softplus"}, softplus, softplus_of));
}

TEST_CASE("op table: rounding and clamp") {
  run(number({.op = "floor"}, floor, [](double x) { return std::floor(x); }));
  run(number({.op = "ceil"}, ceil, [](double x) { return std::ceil(x); }));
  run(number({.op = "round"}, round, [](double x) { return std::nearbyint(x); }));
  const auto limited = [](const Tensor& x) { return clamp(x, -0.5, 1.25); };
  OpCase row = real({.op = "clamp"}, limited, [](double x) {
    return x < -0.5 ? -0.5 : x > 1.25 ? 1.25 : x;
  });
  row.errors.push_back({[] { clamp(zeros({2}), 3, 1); }, "clamp: low 3 is above high 1"});
  run(row);
}

TEST_CASE("op table: predicates") {
  run(predicate({.op = "isfinite"}, isfinite, [](double x) -> double { return std::isfinite(x); }));
  run(predicate({.op = "isnan"}, isnan, [](double x) -> double { return std::isnan(x); }));
  run(predicate({.op = "logical_not", .inputs = with_zero}, logical_not,
                [](double x) -> double { return x == 0; }));
}

TEST_CASE("functions of real numbers take integers and boolean as f32") {
  const Tensor integers = from_vector<int64_t>({0, 1, 4}, {3});
  const Tensor y = sqrt(integers);
  CHECK(y.dtype() == DType::f32);
  CHECK(y.to_vector<double>() == std::vector<double>{0, 1, 2});
  CHECK(exp(integers.to(DType::boolean)).dtype() == DType::f32);
  CHECK(clamp(integers, 1, 3).dtype() == DType::i64);
  CHECK(clamp(integers, 0.5, 3).dtype() == DType::f32);
  CHECK(clamp(integers, 1, 3).to_vector<double>() == std::vector<double>{1, 1, 3});
  check_error([&] { neg(integers.to(DType::boolean)); }, "neg: dtype boolean is not supported");
}

TEST_CASE("an element's bits do not depend on its neighbours") {
  constexpr Unary functions[] = {neg,    abs,        sign, exp,      log,  sqrt,    rsqrt,
                                 square, reciprocal, sin,  cos,      tanh, sigmoid, relu,
                                 gelu,   gelu_tanh,  silu, softplus, erf,  round};
  Generator generator(3);
  const Tensor x = mul(randn({1031}, generator), 3.0);
  for (const DType type : real_types) {
    const Tensor typed = x.to(type);
    for (size_t f = 0; f < std::size(functions); ++f) {
      const Tensor whole = functions[f](typed);
      const auto* expected = static_cast<const std::byte*>(view(whole).data);
      const int64_t size = itemsize(type);
      for (int64_t first : {0, 1, 7, 500, 1030}) {
        for (int64_t n : {1, 3, 16, 29}) {
          if (first + n > 1031) continue;
          const Tensor y = functions[f](detail::view_of(typed, {n}, {1}, first));
          INFO("function ", f, " in ", to_string(type), ", elements ", first, " to ", first + n);
          CHECK(std::memcmp(view(y).data, expected + first * size, static_cast<size_t>(n * size)) ==
                0);
        }
      }
    }
  }
}

TEST_CASE("rounding is to even and keeps the sign of zero") {
  const Tensor x = from_vector<float>({0.5f, 1.5f, 2.5f, -0.5f, -0.0f}, {5});
  CHECK(round(x).to_vector<double>() == std::vector<double>{0, 2, 2, 0, 0});
  CHECK(std::signbit(round(x).to_vector<float>()[3]));
  CHECK(std::signbit(neg(zeros({1})).item<float>()));
  CHECK_FALSE(std::signbit(abs(neg(zeros({1}))).item<float>()));
}

TEST_CASE("only what the derivative reads is saved") {
  Tensor x = ones({4}).set_requires_grad(true);
  Tensor input = x * 2;
  Tensor y = tanh(input);  // tanh saves y: the input may be written to
  {
    const NoGrad scope;
    input.mutable_data<float>()[0] = 5;
  }
  CHECK_NOTHROW(grad({y}, {x}, {.dy = {ones({4})}}));
  Tensor other = x * 2;
  Tensor z = log(other);  // log saves x
  other.mutable_data<float>()[0] = 5;
  CHECK_THROWS_AS(grad({z}, {x}, {.dy = {ones({4})}}), Error);
}
