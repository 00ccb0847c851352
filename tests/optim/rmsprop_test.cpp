#include "fixed_gradients.h"

#include <tenet/optim/rmsprop.h>

using namespace tenet;
using namespace tenet::test;

namespace {

double error_after(const optim::RmsPropOptions& o, int steps) {
  std::vector<double> v(257), m(257), u(257);
  return error_of_steps<optim::RmsProp>(o, steps, [&](size_t i, int, double dw, double w) {
    const double d = dw + o.weight_decay * w;
    v[i] = o.alpha * v[i] + (1 - o.alpha) * d * d;
    m[i] = o.alpha * m[i] + (1 - o.alpha) * d;
    const double variance = o.centered ? v[i] - m[i] * m[i] : v[i];
    u[i] = o.momentum * u[i] + d / (std::sqrt(variance) + o.eps);
    return w - o.learning_rate * u[i];
  });
}

}  // namespace

TEST_CASE("rmsprop follows its formula") {
  CHECK(error_after({}, 5) < 1e-14);
  CHECK(error_after({.alpha = 0.9, .eps = 1e-3, .weight_decay = 0.01}, 5) < 1e-14);
  CHECK(error_after({.momentum = 0.9}, 5) < 1e-14);
  CHECK(error_after({.centered = true}, 5) < 1e-12);
  CHECK(error_after({.weight_decay = 0.1, .momentum = 0.5, .centered = true}, 5) < 1e-12);
}

TEST_CASE("rmsprop keeps only the state that it needs") {
  const Tensor w = make_parameter({3}, 4);
  CHECK(optim::RmsProp(std::vector{w}).state().size() == 2);
  CHECK(optim::RmsProp(std::vector{w}, {.momentum = 0.1, .centered = true}).state().size() == 4);
  CHECK_THROWS_WITH_AS(optim::RmsProp(std::vector{w}, {.alpha = 1}),
                       "rmsprop: alpha is 1; it must lie in [0, 1)", Error);
}
