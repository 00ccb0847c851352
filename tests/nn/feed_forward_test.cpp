#include "module_check.h"

#include <tenet/core/memory.h>
#include <tenet/nn/feed_forward.h>

using namespace tenet;
using namespace tenet::test;

namespace {

nn::FeedForward make(int64_t chunk, double dropout = 0, int64_t d_ff = 11) {
  Generator generator(4);
  return nn::FeedForward({.d_model = 6,
                          .d_ff = d_ff,
                          .activation = nn::Activation::silu,
                          .dropout = dropout,
                          .chunk = chunk},
                         generator);
}

struct Step {
  Tensor y, dx;
  std::vector<Tensor> gradients;
};

Step take_step(nn::FeedForward& module, const Tensor& x, uint64_t seed) {
  module.clear_grad();
  Tensor leaf = x.detach().clone();
  leaf.set_requires_grad(true);
  set_seed(seed);
  Step step{module(leaf), {}, {}};
  backward(step.y, {.dy = normal(step.y.shape(), 99)});
  step.dx = leaf.grad();
  for (const Tensor& weight : module.parameters()) step.gradients.push_back(weight.grad().clone());
  return step;
}

}  // namespace

TEST_CASE("feed_forward is two maps around an activation") {
  nn::FeedForward module = make(0);
  CHECK(parameter_names(module) == Names{"dense.dense.weight", "dense.dense.bias",
                                         "output.dense.weight", "output.dense.bias"});
  CHECK(module.describe() == "FeedForward(6 -> 11 -> 6, silu)");
  const Tensor x = normal({2, 5, 6}, 1);
  Numbers inner = affine(x.to_vector<double>(), parameter(module, "dense.dense.weight"),
                         parameter(module, "dense.dense.bias"));
  for (double& value : inner) value /= 1 + std::exp(-value);
  const Numbers want = affine(inner, parameter(module, "output.dense.weight"),
                              parameter(module, "output.dense.bias"));
  CHECK(error_of(module(x), want) < 1e-6);
}

TEST_CASE("feed_forward gives the same bits for any chunk and length, dropout included") {
  for (const double dropout : {0.0, 0.3}) {
    nn::FeedForward whole = make(0, dropout);
    for (const int64_t length : {1, 2, 7, 30}) {
      const Tensor x = normal({3, length, 6}, 2);
      const Step want = take_step(whole, x, 8);
      for (const int64_t chunk : {1, 2, 3, 8, 29, 30, 100}) {
        nn::FeedForward chunked = make(chunk, dropout);
        const Step got = take_step(chunked, x, 8);
        CHECK(same_bits(got.y, want.y));
        CHECK(error_of(got.dx, want.dx.to_vector<double>()) < 1e-6);
        for (size_t i = 0; i < want.gradients.size(); ++i) {
          CHECK(error_of(got.gradients[i], want.gradients[i].to_vector<double>()) < 1e-5);
        }
      }
    }
  }
}

TEST_CASE("feed_forward's gradients") {
  for (const int64_t chunk : {0, 3}) {
    nn::FeedForward module = make(chunk, 0.2);
    check_module_gradients("feed_forward", module, normal({2, 7, 6}, 3), [&](const Tensor& t) {
      set_seed(3);
      return module(t);
    });
  }
}

TEST_CASE("a chunked feed_forward never holds all positions at the inner width") {
  const int64_t length = 2048, d_ff = 256;
  const Tensor x = normal({1, length, 6}, 1);
  const auto peak = [&](int64_t chunk) {
    nn::FeedForward module = make(chunk, 0, d_ff);
    Tensor leaf = x.detach().clone();
    leaf.set_requires_grad(true);
    const int64_t before = memory::stats(Device::cpu(), memory::Category::working).live;
    memory::reset_peak();
    const Tensor y = module(leaf);
    backward(y, {.dy = x});
    return memory::stats(Device::cpu(), memory::Category::working).peak - before;
  };
  CHECK(peak(0) > length * d_ff * 4);
  CHECK(peak(32) < length * d_ff * 4 / 2);
}

TEST_CASE("a chunked module may be moved before the backward pass") {
  nn::FeedForward module = make(2);
  Tensor leaf = normal({1, 6, 6}, 1);
  leaf.set_requires_grad(true);
  const Tensor y = module(leaf);
  const nn::FeedForward moved = std::move(module);
  backward(y, {.dy = normal(y.shape(), 2)});
  CHECK(parameter(moved, "dense.dense.weight").grad().defined());
}

TEST_CASE("feed_forward's errors") {
  CHECK_THROWS_WITH_AS(make(0)(normal({2, 5}, 1)),
                       "feed_forward: input has shape (2, 5), expected (.., L, 6)", Error);
  CHECK_THROWS_WITH_AS(make(-1), "feed_forward: a chunk of -1 positions; it must not be negative",
                       Error);
}
