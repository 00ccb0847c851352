#include "fixed_gradients.h"

#include <tenet/core/memory.h>
#include <tenet/core/node.h>
#include <tenet/core/parallel.h>
#include <tenet/optim/adafactor.h>
#include <tenet/optim/adam.h>
#include <tenet/optim/clip.h>
#include <tenet/optim/rmsprop.h>
#include <tenet/optim/sgd.h>

#include <functional>
#include <memory>

using namespace tenet;
using namespace tenet::test;

namespace {

using Make = std::function<std::unique_ptr<optim::Optimizer>(std::vector<Tensor>)>;

const std::vector<Make>& makers() {
  static const std::vector<Make> list{
      [](auto p) { return std::make_unique<optim::Adam>(p); },
      [](auto p) { return std::make_unique<optim::AdamW>(p); },
      [](auto p) { return std::make_unique<optim::Adafactor>(p); },
      [](auto p) {
        return std::make_unique<optim::Adafactor>(
            p, optim::AdafactorOptions{.scale_weight_decay = true, .beta1 = 0.9});
      },
      [](auto p) {
        return std::make_unique<optim::RmsProp>(
            p, optim::RmsPropOptions{.momentum = 0.9, .centered = true});
      },
      [](auto p) { return std::make_unique<optim::Sgd>(p, optim::SgdOptions{.momentum = 0.9}); }};
  return list;
}

std::vector<Tensor> parameters() {
  return {make_parameter({300, 70}, 1), make_parameter({70}, 2), make_parameter({3, 40000}, 3),
          make_parameter({1, 5, 33}, 4)};
}

void take_steps(optim::Optimizer& optimizer, int from, int to) {
  for (int step = from; step < to; ++step) {
    set_gradients(optimizer.parameters(), step);
    optim::clip_grad_norm(optimizer.parameters(), 1.0);
    optimizer.step();
  }
}

}  // namespace

TEST_CASE("a step has the same bits with any number of threads") {
  const int before = num_threads();
  for (const Make& make : makers()) {
    std::vector<std::vector<std::vector<float>>> results;
    for (const int threads : {1, 2, 3, 7}) {
      set_num_threads(threads);
      const auto optimizer = make(parameters());
      take_steps(*optimizer, 0, 3);
      results.push_back(values_of(optimizer->parameters()));
    }
    for (const auto& result : results) CHECK(result == results[0]);
  }
  set_num_threads(before);
}

TEST_CASE("a loaded state continues to the same bits") {
  for (const Make& make : makers()) {
    const auto straight = make(parameters());
    take_steps(*straight, 0, 6);

    const auto first = make(parameters());
    take_steps(*first, 0, 3);
    std::map<std::string, Tensor> state;
    for (const auto& [name, tensor] : first->state()) state.emplace(name, tensor.clone());
    std::vector<Tensor> values;
    for (const Tensor& parameter : first->parameters()) {
      values.push_back(parameter.detach().clone().set_requires_grad(true));
    }
    const auto second = make(values);
    second->load_state(state);
    CHECK(second->steps() == 3);
    take_steps(*second, 3, 6);
    CHECK(values_of(second->parameters()) == values_of(straight->parameters()));
  }
}

TEST_CASE("a state that does not fit is refused as a whole") {
  const Tensor w = make_parameter({2}, 1), b = make_parameter({3}, 2);
  optim::Adam optimizer({{{"w", w}, {"b", b}}});
  set_gradients(optimizer.parameters(), 0);
  optimizer.step();
  auto state = optimizer.state();
  CHECK(state.at("step").item<int64_t>() == 1);
  const std::vector<float> before = state.at("w.first_moment").to_vector<float>();
  state["w.first_moment"] = from_vector<float>({9, 9}, {2});
  state["w.second_moment"] = from_vector<float>({9}, {1});
  state.erase("b.first_moment");
  state["c.first_moment"] = from_vector<float>({9}, {1});
  CHECK_THROWS_WITH_AS(
      optimizer.load_state(state),
      "adam: state does not fit; missing b.first_moment; unexpected c.first_moment; "
      "w.second_moment has shape (1,), the optimizer's (2,)",
      Error);
  CHECK(optimizer.state().at("w.first_moment").to_vector<float>() == before);
  const auto error = [&](const std::string& name, const Tensor& value) {
    auto changed = optimizer.state();
    changed[name] = value;
    try {
      optimizer.load_state(changed);
    } catch (const Error& refusal) {
      return std::string(refusal.what());
    }
    return std::string();
  };
  CHECK(error("step", from_vector<int64_t>({-1}, {})) == "adam: state does not fit; step is -1");
  CHECK(error("step", from_vector<float>({1.5}, {})) ==
        "adam: state does not fit; step is f32, the optimizer's i64");
  CHECK(error("w.first_moment", from_vector<int64_t>({1, 2}, {2})) ==
        "adam: state does not fit; w.first_moment is i64, the optimizer's f32");
}

TEST_CASE("parameters without a gradient stay, and the step is counted") {
  const std::vector<Tensor> list = parameters();
  const auto before = values_of(list);
  optim::Adam optimizer(list);
  optimizer.step();
  CHECK(optimizer.steps() == 1);
  CHECK(values_of(list) == before);
  list[1].set_grad(normal_tensor({70}, 9));
  const uint32_t version = list[1].version();
  optimizer.step();
  CHECK(list[1].version() > version);
  CHECK(values_of(list)[0] == before[0]);
  CHECK(values_of(list)[1] != before[1]);
  optimizer.clear_grad();
  CHECK_FALSE(list[1].grad().defined());
}

TEST_CASE("the learning rate can be set between steps") {
  const Tensor w = make_parameter({4}, 1, DType::f64);
  optim::Sgd optimizer(std::vector{w}, {.learning_rate = 1});
  const double before = w.to_vector<double>()[0];
  set_gradients({w}, 0);
  const double gradient = w.grad().to_vector<double>()[0];
  optimizer.set_learning_rate(0.25);
  CHECK(optimizer.learning_rate() == 0.25);
  optimizer.step();
  CHECK(w.to_vector<double>()[0] == doctest::Approx(before - 0.25 * gradient).epsilon(1e-14));
}

TEST_CASE("optimizers refuse bad parameter lists") {
  const Tensor w = make_parameter({2, 3}, 1);
  CHECK_THROWS_WITH_AS(optim::Adam(std::vector<Tensor>{}), "adam: no parameters", Error);
  CHECK_THROWS_WITH_AS(optim::Adam(std::vector{w, w}), "adam: parameter 1 is given twice", Error);
  CHECK_THROWS_WITH_AS(optim::Sgd(std::vector{from_vector<int64_t>({1}, {1})}),
                       "sgd: parameter 0 is i64 with strides (1,); it must be floating-point and "
                       "contiguous",
                       Error);
}

TEST_CASE("state is counted as the optimizer's memory") {
  const int64_t before = memory::stats(test_device(), memory::Category::optimizer).live;
  const optim::Adam optimizer(std::vector{make_parameter({1000, 10}, 1)});
  CHECK(memory::stats(test_device(), memory::Category::optimizer).live - before >= 80000);
}

TEST_CASE("state follows a parameter that changes its type") {
  const Tensor w = make_parameter({4}, 1);
  optim::Adam optimizer(std::vector{w});
  set_gradients({w}, 0);
  optimizer.step();
  detail::TensorBody& body = w.body();
  const Tensor wide = w.detach().to(DType::f64);
  body.storage = wide.body().storage;
  body.dtype = DType::f64;
  body.node->outputs()[0].grad_dtype = DType::f64;
  w.set_grad(normal_tensor({4}, 3, DType::f64));
  optimizer.step();
  CHECK(optimizer.state().at("0.first_moment").dtype() == DType::f64);
}
