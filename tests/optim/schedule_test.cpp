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
