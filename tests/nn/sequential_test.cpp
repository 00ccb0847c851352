#include "module_check.h"

#include <tenet/nn/activation.h>
#include <tenet/nn/dropout.h>
#include <tenet/nn/layer_norm.h>
#include <tenet/nn/linear.h>
#include <tenet/nn/sequential.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/elementwise.h>
#include <tenet/ops/views.h>

using namespace tenet;
using namespace tenet::test;

namespace {

nn::Sequential make(uint64_t seed = 1) {
  Generator generator(seed);
  return nn::Sequential(nn::Linear(3, 8, {.generator = &generator}), nn::Gelu(),
                        nn::Linear(8, 2, {.generator = &generator}));
}

}  // namespace

TEST_CASE("sequential applies its modules in order") {
  nn::Sequential mlp = make();
  const Tensor x = normal({5, 3}, 2);
  const auto& first = mlp.get<nn::Linear>(0);
  const auto& last = mlp.get<nn::Linear>(2);
  CHECK(same_bits(mlp(x), last(gelu(first(x)))));
  CHECK(mlp.size() == 3);
  CHECK(parameter_names(mlp) == Names{"0.weight", "0.bias", "2.weight", "2.bias"});
  CHECK(mlp.to_string() ==
        "Sequential, 50 parameters\n"
        "  0: Linear(3 -> 8), 32 parameters\n"
        "  1: Gelu, 0 parameters\n"
        "  2: Linear(8 -> 2), 18 parameters\n");
  CHECK(fmt::format("{}", mlp) == mlp.to_string());
  check_module_gradients("sequential", mlp, x, [&](const Tensor& t) { return mlp(t); });
}

TEST_CASE("sequential: empty, nested, with functions and shared modules") {
  const Tensor x = normal({2, 3, 4}, 1);
  CHECK(same_bits(nn::Sequential()(x), x));
  const auto shared = std::make_shared<nn::Linear>(12, 12);
  nn::Sequential net(nn::Flatten(), shared, nn::Sequential(nn::Relu(), shared),
                     nn::Lambda([](const Tensor& t) { return t * 2; }, "Double"));
  CHECK(same_bits(net(x), (*shared)(relu((*shared)(reshape(x, {2, 12})))) * 2));
  CHECK(net.parameter_count() == 156);
  CHECK(net.module(3).describe() == "Double");
  net.add(nn::LayerNorm(12)).add(nn::Dropout(0.5));
  CHECK(net.size() == 6);
  net.eval();
  CHECK_FALSE(net.get<nn::Dropout>(5).training());
  CHECK_FALSE(net.get<nn::Sequential>(2).get<nn::Relu>(0).training());
}

TEST_CASE("sequential is moved and cloned as a whole") {
  nn::Sequential net = make();
  const Tensor x = normal({5, 3}, 2), y = net(x);
  nn::Sequential copy = nn::clone(net);
  const nn::Sequential moved = std::move(net);
  CHECK(same_bits(moved(x), y));
  copy.get<nn::Linear>(0).weight.mutable_data<float>()[0] += 1;
  CHECK(same_bits(moved(x), y));
  CHECK_FALSE(same_bits(copy(x), y));
  copy.load_state_dict(moved.state_dict());
  CHECK(same_bits(copy(x), y));
}

TEST_CASE("sequential's errors") {
  nn::Sequential net = make();
  CHECK_THROWS_WITH_AS(net.get<nn::Relu>(0),
                       "sequential: module 0 is Linear(3 -> 8), not of the type asked for", Error);
  CHECK_THROWS_WITH_AS(net.module(3), "sequential: module 3 of 3", Error);
  CHECK_THROWS_WITH_AS(net.add(std::shared_ptr<nn::Linear>()), "module: the pointer is null",
                       Error);
}
