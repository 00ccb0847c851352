#include "fixed_gradients.h"

#include <tenet/core/autograd.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/reduce.h>
#include <tenet/optim/clip.h>
#include <tenet/optim/loss_scaler.h>
#include <tenet/optim/sgd.h>

#include <limits>

using namespace tenet;
using namespace tenet::test;

TEST_CASE("a scaled loss gives the gradients of the loss") {
  const Tensor w = make_parameter({20}, 1);
  const auto gradient = [&](const optim::LossScaler* scaler) {
    w.clear_grad();
    const Tensor loss = sum(w * w * w);
    backward(scaler ? scaler->scaled(loss) : loss);
    if (scaler) scaler->unscale({w});
    return w.grad().to_vector<float>();
  };
  const optim::LossScaler scaler;
  CHECK(gradient(&scaler) == gradient(nullptr));
  optim::LossScaler{}.unscale({make_parameter({3}, 2)});  // without a gradient
}

TEST_CASE("gradients too small for f16 get through") {
  const auto gradient = [](double scale) {
    const Tensor w = make_parameter({1}, 1);
    const optim::LossScaler scaler({.initial = scale});
    backward(scaler.scaled(sum(w.to(DType::f16).to(DType::f32)) * 1e-9));
    scaler.unscale({w});
    return w.grad().to_vector<double>()[0];
  };
  CHECK(gradient(1) == 0);
  CHECK(gradient(0x1p+20) == doctest::Approx(1e-9).epsilon(1e-3));
}

TEST_CASE("the factor follows what f16 can hold") {
  optim::LossScaler scaler({.initial = 1024, .interval = 3});
  scaler.update(false);
  CHECK(scaler.scale() == 512);
  for (int i = 0; i < 2; ++i) scaler.update(true);
  CHECK(scaler.scale() == 512);
  CHECK(scaler.good_steps() == 2);
  scaler.update(false);
  CHECK(scaler.scale() == 256);
  CHECK(scaler.good_steps() == 0);
  for (int i = 0; i < 3; ++i) scaler.update(true);
  CHECK(scaler.scale() == 512);
  optim::LossScaler other;
  other.restore(scaler.scale(), 2);
  other.update(true);
  CHECK(other.scale() == 512);
  for (int i = 0; i < 200; ++i) other.update(false);
  CHECK(other.scale() == 0x1p-24);
  CHECK(other.scaled(make_parameter({1}, 1)).to_vector<float>()[0] != 0);
}

TEST_CASE("a step whose scaled gradients overflow is skipped") {
  const Tensor w = make_parameter({1}, 1);
  const float before = w.to_vector<float>()[0];
  optim::Sgd optimizer(std::vector<Tensor>{w}, {.learning_rate = 0.5});
  optim::StepGuard guard;
  optim::LossScaler scaler({.initial = 65536});
  std::vector<bool> taken;
  for (int i = 0; i < 4; ++i) {
    optimizer.clear_grad();
    backward(scaler.scaled(sum(w.to(DType::f16).to(DType::f32)) * 3.0));
    scaler.unscale({w});
    taken.push_back(std::isfinite(guard.step(optimizer)));
    scaler.update(taken.back());
  }
  CHECK(taken == std::vector<bool>{false, false, true, true});
  CHECK(w.to_vector<float>()[0] == doctest::Approx(before - 2 * 0.5 * 3));
  CHECK(guard.skipped() == 2);
}

TEST_CASE("loss scalers that cannot be") {
  CHECK_THROWS_WITH_AS(optim::LossScaler({.initial = 0}),
                       "loss scaler: the factor is 0; it must be positive and finite", Error);
  CHECK_THROWS_WITH_AS(optim::LossScaler({.interval = 0}),
                       "loss scaler: the interval is 0; it must be at least 1", Error);
  CHECK_THROWS_WITH_AS(optim::LossScaler().restore(-1, 0),
                       "loss scaler: a factor of -1 after 0 steps cannot be", Error);
}
