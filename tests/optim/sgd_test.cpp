#include "fixed_gradients.h"

#include <tenet/optim/sgd.h>

using namespace tenet;
using namespace tenet::test;

namespace {

double error_after(const optim::SgdOptions& o, int steps) {
  std::vector<double> u(257);
  return error_of_steps<optim::Sgd>(o, steps, [&](size_t i, int step, double dw, double w) {
    const double d = dw + o.weight_decay * w;
    u[i] = o.momentum * u[i] + (step == 0 ? 1 : 1 - o.dampening) * d;
    return w - o.learning_rate * (o.nesterov ? d + o.momentum * u[i] : u[i]);
  });
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
