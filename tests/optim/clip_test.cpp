#include "fixed_gradients.h"

#include <tenet/core/parallel.h>
#include <tenet/optim/adafactor.h>
#include <tenet/optim/adam.h>
#include <tenet/optim/clip.h>
#include <tenet/optim/rmsprop.h>
#include <tenet/optim/sgd.h>

#include <limits>

using namespace tenet;
using namespace tenet::test;

namespace {

double norm_in_double(const std::vector<Tensor>& parameters) {
  double sum = 0;
  for (const Tensor& parameter : parameters) {
    if (!parameter.grad().defined()) continue;
    for (const double value : parameter.grad().to_vector<double>()) sum += value * value;
  }
  return std::sqrt(sum);
}

std::vector<Tensor> parameters() {
  return {make_parameter({123, 321}, 1), make_parameter({5}, 2), make_parameter({40000}, 3)};
}

}  // namespace

TEST_CASE("clip_grad_norm scales all gradients alike") {
  const std::vector<Tensor> list = parameters();
  set_gradients({list[0], list[1]}, 0);
  const double want = norm_in_double(list);
  const double first = list[0].grad().to_vector<double>()[0];
  CHECK(optim::gradient_norm(list) == doctest::Approx(want).epsilon(1e-12));
  CHECK(optim::clip_grad_norm(list, 2 * want) == doctest::Approx(want).epsilon(1e-12));
  CHECK(list[0].grad().to_vector<double>()[0] == first);
  CHECK(optim::clip_grad_norm(list, 0.5) == doctest::Approx(want).epsilon(1e-12));
  CHECK(norm_in_double(list) == doctest::Approx(0.5).epsilon(1e-6));
  CHECK(list[0].grad().to_vector<double>()[0] == doctest::Approx(first * 0.5 / want).epsilon(1e-6));
  CHECK_FALSE(list[2].grad().defined());
  CHECK(optim::gradient_norm({list[2]}) == 0);
  CHECK_THROWS_WITH_AS(optim::clip_grad_norm(list, 0),
                       "clip_grad_norm: max_norm is 0; it must be positive", Error);
}

TEST_CASE("the norm has the same bits with any number of threads") {
  const int before = num_threads();
  const std::vector<Tensor> list = parameters();
  set_gradients(list, 0);
  set_num_threads(1);
  const double one = optim::gradient_norm(list);
  for (const int threads : {2, 3, 5}) {
    set_num_threads(threads);
    CHECK(optim::gradient_norm(list) == one);
  }
  set_num_threads(before);
}

TEST_CASE("a strided gradient is clipped too") {
  const Tensor w = make_parameter({2, 3}, 1);
  const Tensor base = normal_tensor({3, 2}, 2);
  w.set_grad(detail::view_of(base, {2, 3}, {1, 2}, 0));
  const std::vector<double> before = w.grad().clone().to_vector<double>();
  const double norm = optim::clip_grad_norm({w}, 0.1);
  for (size_t i = 0; i < 6; ++i) {
    CHECK(w.grad().to_vector<double>()[i] == doctest::Approx(before[i] * 0.1 / norm).epsilon(1e-6));
  }
}

TEST_CASE("a step guard skips what is not finite and gives up after ten in a row") {
  const Tensor w = make_parameter({3}, 1);
  optim::Sgd optimizer(std::vector{w});
  optim::StepGuard guard;
  const auto step_with = [&](float value) {
    w.set_grad(from_vector<float>({1, value, 1}, {3}).to(test_device()));
    return guard.step(optimizer, 1.0);
  };
  const auto before = w.to_vector<float>();
  CHECK(std::isnan(step_with(std::numeric_limits<float>::quiet_NaN())));
  CHECK(std::isinf(step_with(std::numeric_limits<float>::infinity())));
  CHECK(w.to_vector<float>() == before);
  CHECK(optimizer.steps() == 0);
  CHECK(guard.skipped() == 2);
  CHECK(guard.skipped_in_a_row() == 2);
  CHECK(step_with(1) == doctest::Approx(std::sqrt(3.0)));
  CHECK(w.to_vector<float>() != before);
  CHECK(guard.skipped() == 2);
  CHECK(guard.skipped_in_a_row() == 0);

  guard.restore(5, 8);
  CHECK(std::isnan(step_with(std::numeric_limits<float>::quiet_NaN())));
  CHECK_THROWS_WITH_AS(
      step_with(std::numeric_limits<float>::quiet_NaN()),
      "step: the gradients were not finite 10 times in a row; lower the learning rate", Error);
  CHECK(guard.skipped() == 7);
}

TEST_CASE("steps whose norm is read a step later have the bits of those that wait for it") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> thirds{1, -2, nan, 0.25f, std::numeric_limits<float>::infinity(), 3};
  const auto run = [&](bool later, double max_norm) {
    const Tensor w = make_parameter({3}, 1);
    optim::Adam optimizer(std::vector{w}, {.learning_rate = 0.1});
    optim::StepGuard guard;
    std::vector<double> norms;
    const auto note = [&](std::optional<double> norm) {
      if (norm) norms.push_back(std::isfinite(*norm) ? *norm : -1);
    };
    for (const float third : thirds) {
      w.set_grad(from_vector<float>({1, -1, third}, {3}).to(test_device()));
      note(later ? guard.step_later(optimizer, max_norm) : guard.step(optimizer, max_norm));
    }
    note(guard.settle());
    CHECK_FALSE(guard.settle());
    CHECK(guard.skipped() == 2);
    CHECK(optimizer.steps() == 4);
    return std::pair(w.to_vector<float>(), norms);
  };
  for (const double max_norm : {0.0, 1.0, 100.0})
    CHECK(run(true, max_norm) == run(false, max_norm));
}

TEST_CASE("no optimizer steps if the number it is given is not finite") {
  const Tensor good = scalar(1.0, {DType::f64, test_device()});
  const Tensor bad = scalar(std::numeric_limits<double>::infinity(), {DType::f64, test_device()});
  const auto check_one = [&](auto&& optimizer, const Tensor& w) {
    w.set_grad(from_vector<float>({1, 2, 3, 4}, {2, 2}).to(test_device()));
    const auto before = w.to_vector<float>();
    optimizer.step_if_finite(bad);
    CHECK(w.to_vector<float>() == before);
    optimizer.uncount_step();
    optimizer.step_if_finite(good);
    CHECK(w.to_vector<float>() != before);
    CHECK(optimizer.steps() == 1);
    CHECK_THROWS_AS(optimizer.step_if_finite(scalar(1.0f, {.device = test_device()})), Error);
  };
  const auto fresh = [] { return make_parameter({2, 2}, 1); };
  Tensor w = fresh();
  check_one(optim::Sgd(std::vector{w}), w);
  check_one(optim::Adam(std::vector{w = fresh()}), w);
  check_one(optim::RmsProp(std::vector{w = fresh()}), w);
  check_one(optim::Adafactor(std::vector{w = fresh()}), w);
}

TEST_CASE("a step guard without clipping leaves the gradients") {
  const Tensor w = make_parameter({3}, 1, DType::f64);
  optim::Sgd optimizer(std::vector{w}, {.learning_rate = 1});
  const double before = w.to_vector<double>()[0];
  w.set_grad(from_vector<double>({3, 4, 0}, {3}).to(test_device()));
  optim::StepGuard guard;
  CHECK(guard.step(optimizer) == 5);
  CHECK(w.to_vector<double>()[0] == before - 3);
}

TEST_CASE("a gradient that two parameters share is scaled once") {
  const std::vector<Tensor> list{make_parameter({3}, 1), make_parameter({3}, 2)};
  const Tensor shared = from_vector<float>({3, 0, 4}, {3}, {DType::f32, test_device()});
  for (const Tensor& parameter : list) parameter.set_grad(shared);
  optim::clip_grad_norm(list, 1);
  CHECK(norm_in_double(list) == doctest::Approx(1).epsilon(1e-6));
}
