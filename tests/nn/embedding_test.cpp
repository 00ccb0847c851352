#include "module_check.h"

#include <tenet/nn/embedding.h>

using namespace tenet;
using namespace tenet::test;

TEST_CASE("embedding takes rows") {
  Generator generator(1);
  nn::Embedding layer(6, 3, {.std = 0.5, .generator = &generator});
  const Tensor tokens = from_vector<int64_t>({5, 0, 5, 2}, {2, 2});
  const Numbers table = layer.weight.to_vector<double>();
  Numbers want;
  for (const size_t row : {5, 0, 5, 2}) {
    for (size_t c = 0; c < 3; ++c) want.push_back(table[row * 3 + c]);
  }
  const Tensor y = layer(tokens);
  CHECK(y.shape() == Shape{2, 2, 3});
  CHECK(error_of(y, want) == 0);
  CHECK(layer.describe() == "Embedding(6 x 3)");
  CHECK(parameter_names(layer) == Names{"weight"});
  layer.to(DType::f64);
  check_gradients(
      "embedding", [&](const Tensors&) { return Tensors{layer(tokens)}; }, layer.parameters());
}

TEST_CASE("embedding's errors") {
  CHECK_THROWS_WITH_AS(nn::Embedding(0, 3), "embedding: 0 rows of width 3; both must be at least 1",
                       Error);
  CHECK_THROWS_WITH_AS(nn::Embedding(4, 3)(from_vector<int64_t>({1, 4}, {2})),
                       "embedding: index 4 at position 1 is outside 0..3", Error);
}
