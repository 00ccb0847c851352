#include "module_check.h"

#include <tenet/core/autograd.h>
#include <tenet/core/checkpoint.h>
#include <tenet/core/reversible.h>
#include <tenet/nn/batch_norm.h>
#include <tenet/nn/conv2d.h>
#include <tenet/nn/coupling.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/batch_norm.h>
#include <tenet/ops/reduce.h>
#include <tenet/ops/stream.h>
#include <tenet/ops/views.h>

using namespace tenet;
using namespace tenet::test;

TEST_CASE("BatchNorm2d begins as PyTorch's and lists its names") {
  const nn::BatchNorm2d layer(3);
  const nn::StateDict state = layer.state_dict();
  Names names;
  for (const auto& [name, tensor] : state) names.push_back(name);
  CHECK(names == Names{"bias", "num_batches_tracked", "running_mean", "running_var", "weight"});
  CHECK(parameter_names(layer) == Names{"weight", "bias"});
  CHECK(layer.weight.to_vector<double>() == Numbers{1, 1, 1});
  CHECK(layer.bias.to_vector<double>() == Numbers{0, 0, 0});
  CHECK(layer.running_mean.to_vector<double>() == Numbers{0, 0, 0});
  CHECK(layer.running_var.to_vector<double>() == Numbers{1, 1, 1});
  CHECK(layer.num_batches_tracked.item<int64_t>() == 0);
  CHECK(layer.num_batches_tracked.dtype() == DType::i64);
  CHECK(layer.describe() == "BatchNorm2d(3)");
  const nn::BatchNorm2d bare(3, {.affine = false});
  CHECK(bare.parameters().empty());
  CHECK(bare.describe() == "BatchNorm2d(3, no weight and bias)");
}

TEST_CASE("BatchNorm2d: running statistics move by the momentum, in evaluation they are used") {
  nn::BatchNorm2d layer(2, {.epsilon = 1e-3, .momentum = 0.25});
  const Tensor x = normal({3, 2, 4, 5}, 1) * 2 + 1;
  const BatchNormOutput want = batch_norm(x, {layer.weight, layer.bias, 1e-3});
  CHECK(same_bits(layer(x), want.y));
  const Numbers mean = want.mean.to_vector<double>(), variance = want.variance.to_vector<double>();
  const Numbers got_mean = layer.running_mean.to_vector<double>();
  const Numbers got_var = layer.running_var.to_vector<double>();
  for (size_t c = 0; c < 2; ++c) {
    CHECK(got_mean[c] == doctest::Approx(0.25 * mean[c]));
    CHECK(got_var[c] == doctest::Approx(0.75 + 0.25 * variance[c] * 60 / 59));
  }
  CHECK(layer.num_batches_tracked.item<int64_t>() == 1);
  layer.eval();
  CHECK(same_bits(layer(x), batch_norm(x, layer.running_mean, layer.running_var,
                                       {layer.weight, layer.bias, 1e-3})));
  CHECK(layer.num_batches_tracked.item<int64_t>() == 1);
  layer.train();
  layer(normal({0, 2, 4, 5}, 1));
  CHECK(layer.num_batches_tracked.item<int64_t>() == 1);
}

TEST_CASE("BatchNorm2d: gradients in training and in evaluation, twice") {
  nn::BatchNorm2d layer(2);
  const Tensor x = normal({2, 2, 3, 2}, 3);
  check_module_gradients("training", layer, x, [&](const Tensor& t) { return layer(t); });
  layer.eval();
  check_module_gradients("evaluation", layer, x, [&](const Tensor& t) { return layer(t); });
  layer.train();
  Tensor leaf = random_leaf({2, 2, 3, 2}, 4);
  check_second_gradients("training", [&](const Tensors& t) { return Tensors{layer(t[0])}; },
                         {leaf, layer.weight, layer.bias});
}

TEST_CASE("BatchNorm2d: a checkpointed run updates the statistics once and in evaluation not") {
  nn::BatchNorm2d layer(2), plain = nn::clone(layer);
  Tensor x = normal({3, 2, 4, 4}, 1).set_requires_grad(true);
  const auto step = [&](nn::BatchNorm2d& m, bool again) {
    x.clear_grad();
    const auto f = [&](const Tensor& t) { return m(t * 2); };
    const Tensor y = again ? checkpoint(f, x) : f(x);
    backward(sum(square(y * normal(y.shape(), 2))));
    return x.grad().clone();
  };
  for (const bool training : {true, false}) {
    layer.train(training), plain.train(training);
    CHECK(same_bits(step(layer, true), step(plain, false)));
    CHECK(same_bits(layer.running_mean, plain.running_mean));
    CHECK(same_bits(layer.running_var, plain.running_var));
    CHECK(layer.num_batches_tracked.item<int64_t>() == 1);
  }
}

TEST_CASE("BatchNorm2d: statistics that change before a second run are an error") {
  nn::BatchNorm2d layer(2);
  layer.eval();
  Tensor x = normal({3, 2, 4, 4}, 1).set_requires_grad(true);
  const Tensor y = checkpoint([&](const Tensor& t) { return layer(t); }, x);
  layer.train();
  layer(normal({3, 2, 4, 4}, 2));
  CHECK_THROWS_WITH_AS(
      backward(sum(y)),
      "batch_norm: the running statistics have changed since a function that is run again", Error);
}

TEST_CASE("BatchNorm2d: types, clones, states") {
  nn::BatchNorm2d layer(2);
  layer(normal({3, 2, 4, 4}, 1));
  nn::BatchNorm2d copy = nn::clone(layer);
  copy(normal({3, 2, 4, 4}, 2));
  CHECK(layer.num_batches_tracked.item<int64_t>() == 1);
  CHECK(copy.num_batches_tracked.item<int64_t>() == 2);
  layer.load_state_dict(copy.state_dict());
  CHECK(same_bits(layer.running_var, copy.running_var));
  layer.to(DType::bf16);
  CHECK(layer.running_mean.dtype() == DType::bf16);
  CHECK(layer.num_batches_tracked.dtype() == DType::i64);
  CHECK(layer(normal({3, 2, 4, 4}, 3, DType::bf16)).dtype() == DType::bf16);
  layer.eval();
  CHECK(layer(normal({3, 2, 4, 4}, 3, DType::bf16)).dtype() == DType::bf16);
}

TEST_CASE("BatchNorm2d's errors") {
  nn::BatchNorm2d layer(3);
  CHECK_THROWS_WITH_AS(nn::BatchNorm2d(0), "batch_norm: 0 channels; at least 1 is needed", Error);
  CHECK_THROWS_WITH_AS(nn::BatchNorm2d(3, {.momentum = 1.5}),
                       "batch_norm: momentum is 1.5; it must be 0 to 1", Error);
  CHECK_THROWS_WITH_AS(layer(normal({2, 3, 4}, 1)),
                       "batch_norm: x has shape (2, 3, 4), not (N, C, H, W)", Error);
  CHECK_THROWS_WITH_AS(layer(normal({2, 4, 3, 3}, 1)),
                       "batch_norm: x has shape (2, 4, 3, 3), the layer 3 channels", Error);
  CHECK_THROWS_WITH_AS(layer(normal({1, 3, 1, 1}, 1)),
                       "batch_norm: x (1, 3, 1, 1) has one value per channel, training needs more",
                       Error);
}

namespace {

/// A residual function of the Reversible Residual Network: norm, relu, convolution, twice.
struct Residual : nn::Module {
  nn::BatchNorm2d norm1, norm2;
  nn::Conv2d conv1, conv2;
  explicit Residual(int64_t width)
      : norm1(width),
        norm2(width),
        conv1(width, width, 3, {.padding = 1, .bias = false}),
        conv2(width, width, 3, {.padding = 1, .bias = false}) {}
  Tensor operator()(const Tensor& x) const { return conv2(relu(norm2(conv1(relu(norm1(x)))))); }
  void fields(nn::Fields& f) override {
    f("norm1", norm1), f("conv1", conv1), f("norm2", norm2), f("conv2", conv2);
  }
};

/// Four couplings of two residual functions on two streams of images; gradients and buffers after a
/// step.
Tensors revnet_step(bool released, bool exact, bool training) {
  set_seed(5);
  std::vector<std::shared_ptr<Residual>> parts;
  for (int i = 0; i < 8; ++i) parts.push_back(std::make_shared<Residual>(3));
  Tensor leaf = normal({2, 3, 6, 5}, 1).set_requires_grad(true);
  for (const auto& part : parts) part->train(training);
  const Tensor x = leaf * 1;
  Tensors streams = exact ? Tensors{encode(x), encode(x)} : Tensors{x * 1, x * 1};
  for (size_t i = 0; i < 8; i += 2) {
    const auto block = nn::additive_coupling(parts[i], parts[i + 1]);
    streams = released ? reversible(block, std::move(streams)) : block->forward(streams);
  }
  Tensor loss = zeros({});
  for (const Tensor& y : streams) {
    loss = loss + sum((exact ? decode(y) : y) * normal(y.shape(), 7));
  }
  backward(loss);
  Tensors result{leaf.grad()};
  for (const auto& part : parts) {
    for (const Tensor& p : part->parameters()) result.push_back(p.grad());
    for (const Tensor& b : part->buffers()) result.push_back(b);
  }
  return result;
}

}  // namespace

TEST_CASE("RevNet blocks: gradients and buffers are those of kept activations") {
  for (const bool training : {true, false}) {
    const Tensors kept = revnet_step(false, true, training);
    detail::reversible_counters() = {};
    const Tensors released = revnet_step(true, true, training);
    CHECK(detail::reversible_counters().rebuilds > 0);
    REQUIRE(kept.size() == released.size());
    for (size_t i = 0; i < kept.size(); ++i) {
      CAPTURE(i);
      CHECK(same_bits(kept[i], released[i]));
    }
    const Tensors rounded = revnet_step(true, false, training);
    const Tensors plain = revnet_step(false, false, training);
    double worst = 0;
    for (size_t i = 0; i < plain.size(); ++i) {
      worst = std::max(worst, error_of(rounded[i], plain[i].to_vector<double>()));
    }
    MESSAGE("floating-point streams: off by " << worst);
    CHECK(worst < 1e-4);
  }
}
