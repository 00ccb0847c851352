#include <tenet/core/error.h>
#include <tenet/optim/schedule.h>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

using namespace tenet;
using doctest::Approx;

TEST_CASE("warmup rises linearly and stays") {
  CHECK(optim::warmup(2.0, 4, 0) == Approx(0.5));
  CHECK(optim::warmup(2.0, 4, 2) == Approx(1.5));
  CHECK(optim::warmup(2.0, 4, 3) == 2.0);
  CHECK(optim::warmup(2.0, 4, 1000000) == 2.0);
  CHECK(optim::warmup(2.0, 0, 0) == 2.0);
}

TEST_CASE("multifactor is the authors' schedule") {
  for (int64_t step : {0, 1, 5, 7998, 7999, 8000, 100000}) {
    const double t = static_cast<double>(step + 1), warmup = 8000;
    const double want = 2.0 * std::min(1.0, t / warmup) / std::sqrt(std::max(t, warmup));
    CHECK(optim::multifactor(2.0, 8000, step) == Approx(want).epsilon(1e-13));
  }
  // The peak of the enwik8 configuration.
  CHECK(optim::multifactor(2.0, 8000, 7999) == Approx(0.0224).epsilon(2e-3));
}

TEST_CASE("inverse_sqrt peaks at the rate") {
  CHECK(optim::inverse_sqrt(1e-3, 100, 49) == Approx(5e-4));
  CHECK(optim::inverse_sqrt(1e-3, 100, 99) == Approx(1e-3));
  CHECK(optim::inverse_sqrt(1e-3, 100, 399) == Approx(5e-4));
  CHECK(optim::inverse_sqrt(1e-3, 0, 3) == Approx(5e-4));
}

TEST_CASE("cosine falls from the rate to the final rate") {
  CHECK(optim::cosine(1.0, 10, 110, 4) == Approx(0.5));
  CHECK(optim::cosine(1.0, 10, 110, 9) == 1.0);
  CHECK(optim::cosine(1.0, 10, 110, 10) == 1.0);
  CHECK(optim::cosine(1.0, 10, 110, 35) == Approx(0.5 * (1 + std::sqrt(0.5))));
  CHECK(optim::cosine(1.0, 10, 110, 60) == Approx(0.5));
  CHECK(optim::cosine(1.0, 10, 110, 109) > 0);
  CHECK(optim::cosine(1.0, 10, 110, 110) == 0);
  CHECK(optim::cosine(1.0, 10, 110, 60, 0.1) == Approx(0.55));
  CHECK(optim::cosine(1.0, 10, 110, 500, 0.1) == 0.1);
}

TEST_CASE("schedules refuse negative steps") {
  CHECK_THROWS_WITH_AS(optim::warmup(1, -1, 0),
                       "warmup: step 0 with -1 warm-up steps; neither is negative", Error);
  CHECK_THROWS_WITH_AS(optim::cosine(1, 1, 10, -2),
                       "cosine: step -2 with 1 warm-up steps; neither is negative", Error);
}

TEST_CASE("linear and polynomial go down from the rate to the final rate") {
  CHECK(optim::linear(1.0, 10, 110, 4) == Approx(0.5));
  CHECK(optim::linear(1.0, 10, 110, 10) == 1.0);
  CHECK(optim::linear(1.0, 10, 110, 35) == Approx(0.75));
  CHECK(optim::linear(1.0, 10, 110, 60, 0.5) == Approx(0.75));
  CHECK(optim::linear(1.0, 10, 110, 1000, 0.5) == 0.5);
  CHECK(optim::polynomial(1.0, 10, 110, 60, 2) == Approx(0.25));
  CHECK(optim::polynomial(1.0, 10, 110, 60, 1, 0.5) == Approx(0.75));
  CHECK(optim::polynomial(1.0, 10, 110, 110, 2, 0.1) == 0.1);
}

TEST_CASE("exponential and step decay") {
  CHECK(optim::exponential(2, 0.9, 0) == 2);
  CHECK(optim::exponential(2, 0.9, 3) == Approx(2 * 0.729));
  CHECK(optim::step_decay(2, 0.1, 30, 29) == 2);
  CHECK(optim::step_decay(2, 0.1, 30, 30) == Approx(0.2));
  CHECK(optim::step_decay(2, 0.1, 30, 95) == Approx(0.002));
  const std::vector<int64_t> milestones{5, 20};
  CHECK(optim::step_decay(2, 0.5, milestones, 4) == 2);
  CHECK(optim::step_decay(2, 0.5, milestones, 5) == 1);
  CHECK(optim::step_decay(2, 0.5, milestones, 100) == 0.5);
  CHECK_THROWS_WITH_AS(optim::step_decay(2, 0.5, 0, 4),
                       "step_decay: step 4, every 0 steps; neither may be negative", Error);
}

TEST_CASE("cosine restarts") {
  CHECK(optim::cosine_restarts(1, 10, 0) == 1);
  CHECK(optim::cosine_restarts(1, 10, 5) == Approx(0.5));
  CHECK(optim::cosine_restarts(1, 10, 10) == 1);
  CHECK(optim::cosine_restarts(1, 10, 10000005) == Approx(0.5));
  CHECK(optim::cosine_restarts(1, 10, 20, 2) == Approx(0.5));
  CHECK(optim::cosine_restarts(1, 10, 30, 2) == 1);
  CHECK(optim::cosine_restarts(1, 10, 50, 2, 0.2) == Approx(0.6));
}

TEST_CASE("one cycle rises to the peak and ends far below its start") {
  CHECK(optim::one_cycle(1, 100, 0) == Approx(0.04));
  CHECK(optim::one_cycle(1, 100, 29) == 1);
  CHECK(optim::one_cycle(1, 100, 64) == Approx((1 + 4e-6) / 2));
  CHECK(optim::one_cycle(1, 100, 99) == Approx(4e-6));
  CHECK(optim::one_cycle(1, 100, 500) == Approx(4e-6));
  CHECK(optim::one_cycle(1, 101, 50, {.rising = 51.0 / 101, .start_divisor = 2}) == 1);
  CHECK_THROWS_WITH_AS(optim::one_cycle(1, 10, 0, {.rising = 2}),
                       "one_cycle: step 0 of 10, rising for 2 of them; that is a part from 0 to 1",
                       Error);
}

TEST_CASE("adafactor's rate") {
  CHECK(optim::adafactor_rate(0) == 0.01);
  CHECK(optim::adafactor_rate(39999) == Approx(0.005));
  CHECK(optim::adafactor_rate(99, true) == Approx(1e-4));
}

TEST_CASE("schedules in a chain each count their own steps") {
  const optim::Schedule rates =
      optim::chain({{4, [](int64_t step) { return optim::warmup(1, 4, step); }},
                    {10, [](int64_t step) { return optim::linear(1, 0, 10, step); }},
                    {0, [](int64_t) { return 0.125; }}});
  CHECK(rates(1) == 0.5);
  CHECK(rates(4) == 1);
  CHECK(rates(9) == Approx(0.5));
  CHECK(rates(14) == 0.125);
  CHECK(rates(10000) == 0.125);
  CHECK_THROWS_WITH_AS(optim::chain({}), "chain: no schedules", Error);
}
