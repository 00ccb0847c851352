#include "module_check.h"

#include <tenet/core/memory.h>
#include <tenet/nn/layer_norm.h>
#include <tenet/nn/linear.h>
#include <tenet/nn/sequential.h>

using namespace tenet;
using namespace tenet::test;

TEST_CASE("linear is x W^T + b") {
  Generator generator(1);
  nn::Linear layer(7, 5, {.generator = &generator});
  const Tensor x = normal({2, 3, 7}, 1);
  const Numbers want = affine(x.to_vector<double>(), layer.weight, layer.bias);
  const Tensor y = layer(x);
  CHECK(y.shape() == Shape{2, 3, 5});
  CHECK(error_of(y, want) < 1e-6);
  check_module_gradients("linear", layer, x, [&](const Tensor& t) { return layer(t); });
}

TEST_CASE("linear without bias") {
  nn::Linear layer(4, 2, {.bias = false});
  CHECK(parameter_names(layer) == Names{"weight"});
  CHECK(layer.describe() == "Linear(4 -> 2, no bias)");
  const Tensor x = normal({3, 4}, 1);
  CHECK(error_of(layer(x), affine(x.to_vector<double>(), layer.weight)) < 1e-6);
  check_module_gradients("linear", layer, x, [&](const Tensor& t) { return layer(t); });
}

TEST_CASE("rounded linears keep the bits of every result under Autocast") {
  for (const DType dtype : {DType::bf16, DType::f16}) {
    for (const int64_t rows : {1, 3, 40}) {
      Generator generator(2);
      nn::Sequential layers;
      layers.add(std::make_shared<nn::Linear>(33, 70, nn::LinearOptions{.generator = &generator}));
      layers.add(std::make_shared<nn::LayerNorm>(70));
      layers.add(std::make_shared<nn::Linear>(
          70, 21, nn::LinearOptions{.bias = false, .generator = &generator}));
      const Tensor x = normal({rows, 33}, 1), before = layers.parameters()[0];
      const NoGrad no_grad;
      const Autocast scope(dtype);
      const Tensor want = layers(x);
      nn::round_linears(layers, dtype);
      std::vector<DType> types;
      for (const Tensor& parameter : layers.parameters()) types.push_back(parameter.dtype());
      CHECK(types == std::vector{dtype, dtype, DType::f32, DType::f32, dtype});
      CHECK(before.dtype() == DType::f32);
      CHECK(same_bits(layers(x), want));
    }
  }
  nn::Linear layer(2, 2);
  CHECK_THROWS_WITH_AS(nn::round_linears(layer, DType::i32),
                       "round_linears: parameters cannot be i32; use a floating-point type", Error);
}

TEST_CASE("linear starts with the spread that it is given, from the generator that it is given") {
  Generator generator(3);
  const nn::Linear normal_weights(64, 256, {.std = 0.02, .generator = &generator});
  double sum = 0, squares = 0;
  const Numbers w = normal_weights.weight.to_vector<double>();
  for (const double value : w) sum += value, squares += value * value;
  const auto count = static_cast<double>(w.size());
  CHECK(std::abs(sum / count) < 1e-3);
  CHECK(std::sqrt(squares / count) == doctest::Approx(0.02).epsilon(0.02));
  CHECK(normal_weights.bias.to_vector<double>() == Numbers(256));

  const nn::Linear uniform_weights(64, 256, {.generator = &generator});
  const Numbers u = uniform_weights.weight.to_vector<double>();
  CHECK(*std::max_element(u.begin(), u.end()) <= 0.125);
  CHECK(*std::max_element(u.begin(), u.end()) > 0.12);
  CHECK(*std::min_element(u.begin(), u.end()) < -0.12);

  Generator again(3);
  const nn::Linear same(64, 256, {.std = 0.02, .generator = &again});
  CHECK(same_bits(same.weight, normal_weights.weight));
}

TEST_CASE("parameters are counted as parameters") {
  const int64_t before = memory::stats(Device::cpu(), memory::Category::parameter).live;
  const nn::Linear layer(128, 64);
  const int64_t bytes = memory::stats(Device::cpu(), memory::Category::parameter).live - before;
  CHECK(bytes >= 128 * 64 * 4);
  CHECK(bytes < 128 * 64 * 4 + 4096);
}

TEST_CASE("linear's errors") {
  CHECK_THROWS_WITH_AS(nn::Linear(0, 3), "linear: sizes 0 and 3 must be at least 1", Error);
  CHECK_THROWS_WITH_AS(nn::Linear(5, 4)(normal({2, 3}, 1)),
                       "linear: x has shape (2, 3), weight (4, 5) takes 5 inputs", Error);
}
