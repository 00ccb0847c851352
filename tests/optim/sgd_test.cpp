#include "fixed_gradients.h"

#include <tenet/optim/sgd.h>

using namespace tenet;
using namespace tenet::test;

namespace {

double error_after(const optim::SgdOptions& o, int steps) {
  const Tensor w = make_parameter({257}, 4, DType::f64);
  optim::Sgd optimizer(std::vector{w}, o);
  std::vector<double> want = w.to_vector<double>(), u(want.size());
  for (int step = 0; step < steps; ++step) {
    set_gradients({w}, step);
    const std::vector<double> dw = w.grad().to_vector<double>();
    optimizer.step();
    for (size_t i = 0; i < want.size(); ++i) {
      const double d = dw[i] + o.weight_decay * want[i];
      u[i] = o.momentum * u[i] + (step == 0 ? 1 : 1 - o.dampening) * d;
      want[i] -= o.learning_rate * (o.nesterov ? d + o.momentum * u[i] : u[i]);
    }
  }
  return largest_error(w.to_vector<double>(), want);
}

}  // namespace

TEST_CASE("sgd follows its formula") {
  CHECK(error_after({.learning_rate = 0.1}, 5) < 1e-14);
  CHECK(error_after({.learning_rate = 0.1, .weight_decay = 0.01}, 5) < 1e-14);
  CHECK(error_after({.learning_rate = 0.1, .momentum = 0.9}, 5) < 1e-14);
  CHECK(error_after({.learning_rate = 0.1, .momentum = 0.9, .nesterov = true}, 5) < 1e-14);
  CHECK(error_after({.learning_rate = 0.1, .momentum = 0.9, .dampening = 0.3}, 5) < 1e-14);
}

TEST_CASE("sgd without momentum keeps no state but the step") {
  const Tensor w = make_parameter({3}, 4);
  CHECK(optim::Sgd(std::vector{w}).state().size() == 1);
  CHECK_THROWS_WITH_AS(optim::Sgd(std::vector{w}, {.nesterov = true}),
                       "sgd: nesterov needs a momentum, which is 0, and no dampening, which is 0",
                       Error);
}
