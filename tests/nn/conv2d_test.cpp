#include "module_check.h"

#include <tenet/nn/conv2d.h>
#include <tenet/nn/pool2d.h>

using namespace tenet;
using namespace tenet::test;

TEST_CASE("Conv2d is the op with its weights") {
  Generator generator(1);
  nn::Conv2d layer(
      4, 6, {3, 2},
      {.stride = {2, 1}, .padding = 1, .dilation = {1, 2}, .groups = 2, .generator = &generator});
  const Tensor x = normal({2, 4, 5, 6}, 1);
  CHECK(layer.weight.shape() == Shape{6, 2, 3, 2});
  CHECK(same_bits(layer(x),
                  conv2d(x, layer.weight, layer.bias,
                         {.stride = {2, 1}, .padding = 1, .dilation = {1, 2}, .groups = 2})));
  CHECK(parameter_names(layer) == Names{"weight", "bias"});
  CHECK(layer.describe() ==
        "Conv2d(4 -> 6, 3 x 2, stride 2 x 1, padding 1 x 1, dilation 1 x 2, 2 groups)");
  check_module_gradients("Conv2d", layer, x, [&](const Tensor& t) { return layer(t); });
}

TEST_CASE("Conv2d without bias") {
  nn::Conv2d layer(3, 2, 1, {.bias = false});
  CHECK(parameter_names(layer) == Names{"weight"});
  CHECK(layer.describe() == "Conv2d(3 -> 2, 1 x 1, no bias)");
  CHECK(layer(normal({0, 3, 4, 4}, 1)).shape() == Shape{0, 2, 4, 4});
}

TEST_CASE("Conv2d starts uniform on +-1 / sqrt(fan in), from the generator that it is given") {
  Generator generator(3), again(3);
  const nn::Conv2d layer(32, 64, 3, {.groups = 2, .generator = &generator});
  const double bound = 1 / std::sqrt(16.0 * 9);
  for (const Tensor& t : {layer.weight, layer.bias}) {
    const Numbers values = t.to_vector<double>();
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    CHECK(*low >= -bound);
    CHECK(*high <= bound);
    CHECK(*low < -0.9 * bound);
    CHECK(*high > 0.9 * bound);
  }
  CHECK(same_bits(layer.weight, nn::Conv2d(32, 64, 3, {.groups = 2, .generator = &again}).weight));
}

TEST_CASE("Conv2d's errors") {
  CHECK_THROWS_WITH_AS(nn::Conv2d(0, 3, 3), "conv2d: channels 0 and 3 must be at least 1", Error);
  CHECK_THROWS_WITH_AS(nn::Conv2d(4, 6, 3, {.groups = 4}),
                       "conv2d: channels 4 and 6 are not 4 equal groups", Error);
  CHECK_THROWS_WITH_AS(nn::Conv2d(4, 6, {3, 0}),
                       "conv2d: kernel is 3 x 0; it must be at least 1 x 1", Error);
  CHECK_THROWS_WITH_AS(
      nn::Conv2d(4, 6, 3)(normal({2, 3, 5, 5}, 1)),
      "conv2d: x has shape (2, 3, 5, 5), weight (6, 4, 3, 3) with 1 group(s) takes 4 channels",
      Error);
}

TEST_CASE("pooling modules are the ops with their options") {
  const Tensor x = normal({2, 3, 7, 6}, 1);
  const nn::MaxPool2d largest({3, 2}, {.stride = 2, .padding = {1, 0}});
  CHECK(same_bits(largest(x), max_pool2d(x, {3, 2}, {.stride = 2, .padding = {1, 0}})));
  CHECK(largest.describe() == "MaxPool2d(3 x 2, stride 2 x 2, padding 1 x 0)");
  CHECK(nn::MaxPool2d(2).describe() == "MaxPool2d(2 x 2)");
  const nn::AvgPool2d mean(3, {.padding = 1, .count_include_pad = false});
  CHECK(same_bits(mean(x), avg_pool2d(x, 3, {.padding = 1, .count_include_pad = false})));
  CHECK(mean.describe() == "AvgPool2d(3 x 3, padding 1 x 1, padding not counted)");
}
