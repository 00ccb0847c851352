#include <compare.h>
#include <tenet/optim/plateau.h>

#include <doctest/doctest.h>

#include <cmath>

using namespace tenet;

TEST_CASE("the rate falls when a measure stops improving") {
  optim::ReduceOnPlateau rate(1, {.factor = 0.5, .patience = 2});
  for (const double loss : {4.0, 3.0, 2.0}) CHECK(rate.update(loss) == 1);
  CHECK(rate.update(2.0) == 1);
  CHECK(rate.update(NAN) == 1);
  CHECK(rate.update(2.5) == 0.5);
  CHECK(rate.best() == 2);
  CHECK(rate.update(1.0) == 0.5);
  CHECK(rate.best() == 1);
}

TEST_CASE("a rate that follows a measure has limits") {
  optim::ReduceOnPlateau rate(1, {.factor = 0.1, .patience = 0, .final_rate = 0.05});
  rate.update(1);
  CHECK(rate.update(1) == 0.1);
  CHECK(rate.update(1) == 0.05);
  CHECK(rate.update(1) == 0.05);
  test::check_error([] { optim::ReduceOnPlateau(1, {.factor = 1}); },
                    "reduce_on_plateau: factor is 1; it must lie between 0 and 1");
  test::check_error([] { optim::ReduceOnPlateau(1, {.patience = -1}); },
                    "reduce_on_plateau: patience is -1 and cooldown 0; neither may be negative");
  test::check_error([] { optim::ReduceOnPlateau rate(-1); },
                    "reduce_on_plateau: rate is -1, final_rate 0 and threshold 0.0001; none may "
                    "be negative");
}
