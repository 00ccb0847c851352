#include "fixed_gradients.h"

#include <tenet/core/safetensors.h>
#include <tenet/optim/adafactor.h>
#include <tenet/optim/adam.h>
#include <tenet/optim/rmsprop.h>
#include <tenet/optim/schedule.h>
#include <tenet/optim/sgd.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>

using namespace tenet;
using namespace tenet::test;

namespace {

Tensor first() { return make_parameter({40, 30}, 1); }
Tensor second() { return make_parameter({70}, 2); }

/// Makes an optimizer for a list at a learning rate and weight decay.
using Make =
    std::function<std::unique_ptr<optim::Optimizer>(const optim::ParameterList&, double, double)>;

const std::vector<Make>& makers() {
  static const std::vector<Make> list{
      [](const auto& p, double rate, double decay) {
        return std::make_unique<optim::Sgd>(
            p, optim::SgdOptions{.learning_rate = rate, .momentum = 0.9, .weight_decay = decay});
      },
      [](const auto& p, double rate, double decay) {
        return std::make_unique<optim::Adam>(
            p, optim::AdamOptions{.learning_rate = rate, .weight_decay = decay});
      },
      [](const auto& p, double rate, double decay) {
        return std::make_unique<optim::AdamW>(
            p, optim::AdamWOptions{.learning_rate = rate, .weight_decay = decay});
      },
      [](const auto& p, double rate, double decay) {
        return std::make_unique<optim::RmsProp>(
            p, optim::RmsPropOptions{.learning_rate = rate, .weight_decay = decay});
      },
      [](const auto& p, double rate, double decay) {
        return std::make_unique<optim::Adafactor>(
            p, optim::AdafactorOptions{.learning_rate = rate, .weight_decay = decay, .beta1 = 0.5});
      }};
  return list;
}

/// Gradients of two parameters that do not depend on how they are grouped.
void give_gradients(const Tensor& a, const Tensor& b, int step) {
  a.set_grad(normal_tensor(a.shape(), 100 + static_cast<uint64_t>(step)));
  b.set_grad(normal_tensor(b.shape(), 200 + static_cast<uint64_t>(step)));
}

}  // namespace

TEST_CASE("a group behaves as an optimizer of its own with the group's options") {
  for (const Make& make : makers()) {
    const Tensor a = first(), b = second(), alone_a = first(), alone_b = second();
    const auto grouped =
        make({{.parameters = std::vector{a}},
              {.parameters = std::vector{b}, .learning_rate = 0.05, .weight_decay = 0.01}},
             0.1, 0.02);
    const auto own_a = make(std::vector{alone_a}, 0.1, 0.02);
    const auto own_b = make(std::vector{alone_b}, 0.05, 0.01);
    CHECK(grouped->groups() == 2);
    for (int step = 0; step < 4; ++step) {
      const double half = step < 2 ? 1 : 0.5;
      grouped->set_learning_rate(optim::step_decay(0.1, 0.5, 2, step));
      CHECK(grouped->learning_rate(1) == 0.05 * half);
      own_a->set_learning_rate(0.1 * half);
      own_b->set_learning_rate(0.05 * half);
      give_gradients(a, b, step);
      give_gradients(alone_a, alone_b, step);
      grouped->step();
      own_a->step();
      own_b->step();
    }
    CHECK(values_of({a, b}) == values_of({alone_a, alone_b}));
  }
}

TEST_CASE("a grouped optimizer's state goes through a file and continues to the same bits") {
  const std::string path =
      (std::filesystem::temp_directory_path() / "tenet_group_test.safetensors").string();
  for (const Make& make : makers()) {
    const auto list = [](const Tensor& a, const Tensor& b) -> optim::ParameterList {
      return {{.parameters = optim::ParameterList::Named{{"b", b}}, .learning_rate = 0.01},
              {.parameters = std::vector{a}}};
    };
    const Tensor a = first(), b = second();
    const auto straight = make(list(a, b), 0.1, 0.01);
    for (int step = 0; step < 3; ++step) {
      give_gradients(a, b, step);
      straight->step();
    }
    safetensors::save(path, straight->state());
    const Tensor again_a = a.detach().clone().set_requires_grad(true);
    const Tensor again_b = b.detach().clone().set_requires_grad(true);
    const auto resumed = make(list(again_a, again_b), 0.1, 0.01);
    resumed->load_state(safetensors::load(path).tensors);
    CHECK(resumed->steps() == 3);
    CHECK(resumed->state().begin()->first.starts_with("1."));
    for (int step = 3; step < 6; ++step) {
      give_gradients(a, b, step);
      give_gradients(again_a, again_b, step);
      straight->step();
      resumed->step();
    }
    CHECK(values_of({a, b}) == values_of({again_a, again_b}));
  }
  std::filesystem::remove(path);
}

TEST_CASE("frozen parameters stay as they are") {
  for (const Make& make : makers()) {
    Tensor a = first(), b = second();
    const auto before = values_of({a});
    const auto optimizer = make(std::vector{a, b}, 0.1, 0.02);
    a.set_requires_grad(false);
    for (int step = 0; step < 2; ++step) {
      b.set_grad(normal_tensor(b.shape(), 3));
      optimizer->step();
    }
    CHECK(values_of({a}) == before);
    a.set_requires_grad(true);
    give_gradients(a, b, 5);
    optimizer->step();
    CHECK(values_of({a}) != before);
  }
}

TEST_CASE("lists of groups: names and errors") {
  const Tensor a = first(), b = second(), c = make_parameter({2}, 3);
  const optim::ParameterList list{{.parameters = std::vector{a}},
                                  {.parameters = std::vector{b, c}, .weight_decay = 0}};
  CHECK(list.named()[2].first == "2");
  CHECK(list.group_of() == std::vector<size_t>{0, 1, 1});
  const auto named = [](const char* name, const Tensor& tensor) {
    return optim::ParameterList::Named{{name, tensor}};
  };
  using Groups = std::vector<optim::ParameterGroup>;
  CHECK_THROWS_WITH_AS(
      optim::Sgd(Groups{{.parameters = named("w", a)}, {.parameters = named("w", b)}}),
      "sgd: two parameters are named w; prefix the names of one group", Error);
  CHECK_THROWS_WITH_AS(optim::Sgd(Groups{{.parameters = list}}),
                       "parameter group: a group of 2 groups", Error);
  CHECK_THROWS_WITH_AS(
      optim::Sgd(Groups{{.parameters = named("w", a), .learning_rate = 1}}, {.learning_rate = 0}),
      "sgd: group 0 has a learning rate of its own; the optimizer's, 0, must be positive", Error);
  CHECK_THROWS_WITH_AS(optim::Sgd(Groups{{.parameters = named("w", a), .weight_decay = -1}}),
                       "sgd: group 0 has weight_decay -1; it must not be negative", Error);
  CHECK_THROWS_WITH_AS(optim::Sgd(Groups{{.parameters = named("w", a), .learning_rate = -1}}),
                       "sgd: group 0 has learning_rate -1; it must not be negative", Error);
  CHECK_THROWS_WITH_AS(optim::Sgd(std::vector{a}, {.weight_decay = -1}),
                       "sgd: weight_decay is -1; it must not be negative", Error);
  CHECK_THROWS_WITH_AS(optim::Sgd(std::vector{a}).learning_rate(1), "sgd: group 1 of 1", Error);
}
