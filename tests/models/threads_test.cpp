/// Promise: threads that each build and differentiate a graph of their own do not disturb each
/// other, and a graph lives on when the model that made it is gone.
#include <tenet/optim/adam.h>

#include <array>
#include <thread>

#include "small_reformer.h"

using namespace tenet;
using namespace tenet::test;

namespace {

/// The losses of some training steps with random numbers from (seed, 0), and the weights after.
struct Run {
  std::vector<double> losses;
  std::vector<Tensor> weights;
};

Run train_alone(uint64_t seed) {
  Reformer model(small_config({.attention = "local,lsh", .dropout = 0.1}));
  model.to(test_device());
  model.train();
  optim::Adam optimizer(model.named_parameters(), {.learning_rate = 1e-2});
  default_generator() = Generator(seed);
  Run run;
  for (uint64_t step = 0; step < 4; ++step) {
    const Tensor loss =
        model.loss(random_tokens({2, 64}, seed + step), random_tokens({2, 64}, seed + step + 1));
    backward(loss);
    optimizer.step();
    optimizer.clear_grad();
    run.losses.push_back(loss.item<double>());
  }
  run.weights = model.parameters();
  return run;
}

}  // namespace

TEST_CASE("threads with graphs of their own get the bits of runs one after the other") {
  std::array<Run, 3> together, alone;
  std::vector<std::thread> threads;
  for (uint64_t i = 0; i < together.size(); ++i) {
    threads.emplace_back([&run = together[i], i] { run = train_alone(10 * i); });
  }
  for (std::thread& thread : threads) thread.join();
  for (uint64_t i = 0; i < alone.size(); ++i) {
    alone[i] = train_alone(10 * i);
    CHECK(together[i].losses == alone[i].losses);
    for (size_t k = 0; k < alone[i].weights.size(); ++k) {
      CHECK(same_bits(together[i].weights[k], alone[i].weights[k]));
    }
  }
}

TEST_CASE("a graph outlives the model that made it") {
  const Tensor tokens = random_tokens({2, 64}, 1), targets = random_tokens({2, 64}, 2);
  for (const bool reversible : {true, false}) {
    const auto loss_of = [&](Reformer& model) {
      model.train();
      model.set_reversible(reversible);
      default_generator() = Generator(3);
      return model.loss(tokens, targets);
    };
    const SmallOptions options{.attention = "local,lsh", .dropout = 0.1};
    Reformer kept(small_config(options));
    kept.to(test_device());
    backward(loss_of(kept));
    auto gone = std::make_unique<Reformer>(small_config(options));
    gone->to(test_device());
    const std::vector<Tensor> parameters = gone->parameters();
    const Tensor loss = loss_of(*gone);
    gone.reset();
    backward(loss);
    for (size_t i = 0; i < parameters.size(); ++i) {
      CHECK(same_bits(parameters[i].grad(), kept.parameters()[i].grad()));
    }
  }
}
