#include "module_check.h"

#include <tenet/nn/dropout.h>

using namespace tenet;
using namespace tenet::test;

TEST_CASE("dropout drops in training and not in evaluation") {
  nn::Dropout layer(0.25);
  const Tensor x = ones({10000});
  set_seed(5);
  int64_t kept = 0;
  for (const double value : layer(x).to_vector<double>()) {
    const bool is_kept = value == doctest::Approx(1 / 0.75);
    CHECK_MESSAGE((is_kept || value == 0), value);
    kept += is_kept;
  }
  CHECK(kept > 7300);
  CHECK(kept < 7700);
  CHECK_FALSE(same_bits(layer(x), layer(x)));
  layer.eval();
  CHECK(same_bits(layer(x), x));
  CHECK(layer.describe() == "Dropout(0.25)");
}

TEST_CASE("dropout of a seed is always the same") {
  const nn::Dropout layer(0.5);
  const Tensor x = normal({3, 50}, 1);
  set_seed(9);
  const Tensor first = layer(x);
  set_seed(9);
  CHECK(same_bits(first, layer(x)));
}

TEST_CASE("dropout's gradient uses the forward's mask") {
  nn::Dropout layer(0.5);
  check_module_gradients("dropout", layer, normal({40}, 1), [&](const Tensor& t) {
    set_seed(2);
    return layer(t);
  });
}

TEST_CASE("dropout refuses p outside [0, 1)") {
  CHECK_THROWS_WITH_AS(nn::Dropout(1), "dropout: p is 1; it must be at least 0 and below 1", Error);
}
