#include "module_check.h"

#include <tenet/nn/init.h>
#include <tenet/nn/linear.h>
#include <tenet/ops/matmul.h>
#include <tenet/ops/views.h>

using namespace tenet;
using namespace tenet::test;
namespace init = nn::init;

namespace {

struct Moments {
  double mean, variance, low, high;
};

Moments moments_of(const Tensor& x) {
  const Numbers values = x.to_vector<double>();
  const auto count = static_cast<double>(values.size());
  double sum = 0, squares = 0;
  for (const double value : values) sum += value, squares += value * value;
  return {sum / count, squares / count - sum / count * sum / count,
          *std::min_element(values.begin(), values.end()),
          *std::max_element(values.begin(), values.end())};
}

void check_moments(const Tensor& x, double mean, double variance, double bound = INFINITY) {
  const Moments m = moments_of(x);
  CHECK(std::abs(m.mean - mean) < 0.02 * std::sqrt(variance));
  CHECK(m.variance == doctest::Approx(variance).epsilon(0.03));
  CHECK(m.low >= mean - bound);
  CHECK(m.high <= mean + bound);
  if (std::isfinite(bound)) CHECK(m.high > mean + 0.99 * bound);
}

}  // namespace

TEST_CASE("constants") {
  Generator generator(1);
  const Tensor x = normal({2, 3}, 1, DType::bf16);
  init::ones_(x);
  CHECK(x.to_vector<double>() == Numbers{1, 1, 1, 1, 1, 1});
  init::zeros_(x);
  CHECK(x.to_vector<double>() == Numbers(6));
  init::constant_(x, -2.5);
  CHECK(x.to_vector<double>() == Numbers(6, -2.5));
  init::eye_(x);
  CHECK(x.to_vector<double>() == Numbers{1, 0, 0, 0, 1, 0});
  CHECK_THROWS_WITH_AS(init::eye_(normal({3}, 1)), "eye_: shape (3,) is not that of a matrix",
                       Error);
}

TEST_CASE("spreads follow the fans") {
  Generator generator(7);
  const Tensor x = empty({128, 16, 3, 3});  // fan_in 144, fan_out 1152
  init::uniform_(x, 2, 4, generator);
  check_moments(x, 3, 1.0 / 3, 1);
  init::normal_(x, -1, 0.5, generator);
  check_moments(x, -1, 0.25);
  init::xavier_uniform_(x, 2, generator);
  check_moments(x, 0, 8.0 / 1296, std::sqrt(24.0 / 1296));
  init::xavier_normal_(x, 1, generator);
  check_moments(x, 0, 2.0 / 1296);
  init::kaiming_uniform_(x, {}, generator);
  check_moments(x, 0, 2.0 / 144, std::sqrt(6.0 / 144));
  init::kaiming_normal_(x, {.gain = 1, .fan = init::Fan::out}, generator);
  check_moments(x, 0, 1.0 / 1152);
  CHECK_THROWS_WITH_AS(init::xavier_normal_(empty({3})),
                       "xavier_normal_: shape (3,) has no fan; a weight (out, in, ...) is needed",
                       Error);
  CHECK_THROWS_WITH_AS(init::normal_(from_vector<int64_t>({1}, {1})),
                       "normal_: dtype i64 is not supported", Error);
  CHECK_THROWS_WITH_AS(init::normal_(x, 0, -1), "normal_: std is -1; it must not be negative",
                       Error);
}

TEST_CASE("truncated normal numbers stay within their limits") {
  Generator generator(3);
  const Tensor x = empty({200, 100});
  init::truncated_normal_(x, {.mean = 1, .std = 2, .low = -3, .high = 5}, generator);
  // The variance of N(0, 1) cut at +-2 is 1 - 4 phi(2) / (2 Phi(2) - 1).
  check_moments(x, 1, 4 * 0.7737, 4);
  CHECK_THROWS_WITH_AS(init::truncated_normal_(x, {.low = 5, .high = 6}),
                       "truncated_normal_: only 2.9e-07 of the distribution lies in [5, 6]", Error);
}

TEST_CASE("orthogonal matrices") {
  Generator generator(3);
  for (const Shape& shape : {Shape{5, 5}, Shape{3, 17}, Shape{40, 6}, Shape{4, 2, 3}}) {
    const Tensor x = empty(shape, {.dtype = DType::f64});
    init::orthogonal_(x, 1.5, generator);
    const Tensor a = reshape(x, {shape[0], -1});
    const bool wide = a.size(0) <= a.size(1);
    const Tensor t = transpose(a, 0, 1), product = wide ? matmul(a, t) : matmul(t, a);
    const Tensor want = empty_like(product);
    init::eye_(want);
    Numbers scaled = want.to_vector<double>();
    for (double& value : scaled) value *= 2.25;
    CHECK(error_of(product, scaled) < 1e-14);
  }
  CHECK_THROWS_WITH_AS(init::orthogonal_(empty({3})),
                       "orthogonal_: shape (3,) is not that of a matrix", Error);
}

TEST_CASE("a parameter is written in place, outside the graph, from the generator given") {
  nn::Linear layer(6, 4);
  const Tensor handle = layer.weight;
  const uint32_t version = handle.version();
  Generator one(5), two(5);
  init::kaiming_normal_(layer.weight, {.gain = init::gain_of(nn::Activation::tanh)}, one);
  CHECK(handle.requires_grad());
  CHECK(handle.version() > version);
  nn::Linear other(6, 4);
  init::kaiming_normal_(other.weight, {.gain = 5.0 / 3}, two);
  CHECK(same_bits(handle, other.weight));
  CHECK(init::gain_of(nn::Activation::leaky_relu, 1) == doctest::Approx(1));
  CHECK(init::gain_of(nn::Activation::selu) == 0.75);
  CHECK(init::gain_of(nn::Activation::sigmoid) == 1);
}
