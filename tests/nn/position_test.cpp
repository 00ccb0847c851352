#include "module_check.h"

#include <tenet/core/memory.h>
#include <tenet/nn/position.h>
#include <tenet/ops/reduce.h>

using namespace tenet;
using namespace tenet::test;

namespace {

/// Row t by the definition: the row-major index of t over `shape`, last axis fastest.
Numbers axial_reference(const nn::AxialPositionalEmbedding& module,
                        const std::vector<int64_t>& shape, int64_t length) {
  Numbers rows;
  for (int64_t t = 0; t < length; ++t) {
    int64_t below = 1;
    for (const int64_t size : shape) below *= size;
    int64_t rest = t;
    for (size_t k = 0; k < shape.size(); ++k) {
      below /= shape[k];
      const int64_t i = rest / below;
      rest %= below;
      const Tensor weight = parameter(module, "weights." + std::to_string(k));
      const int64_t width = weight.shape().back();
      const Numbers values = weight.to_vector<double>();
      for (int64_t c = 0; c < width; ++c)
        rows.push_back(values[static_cast<size_t>(i * width + c)]);
    }
  }
  return rows;
}

}  // namespace

TEST_CASE("axial positions of every length") {
  const std::vector<int64_t> shape{3, 4, 2};
  Generator generator(1);
  nn::AxialPositionalEmbedding module(shape, {2, 1, 3}, 1.0, generator);
  CHECK(parameter_names(module) == Names{"weights.0", "weights.1", "weights.2"});
  CHECK(parameter(module, "weights.1").shape() == Shape{1, 4, 1, 1});
  CHECK(module.parameter_count() == 3 * 2 + 4 * 1 + 2 * 3);
  for (int64_t length = 0; length <= 24; ++length) {
    const Tensor y = module(length);
    CHECK(y.shape() == Shape{length, 6});
    CHECK(error_of(y, axial_reference(module, shape, length)) == 0);
  }
  CHECK(module.describe() == "AxialPositionalEmbedding(3 x 4 x 2 -> 2 + 1 + 3)");
}

TEST_CASE("axial positions have a gradient at lengths that the shape does not divide") {
  nn::AxialPositionalEmbedding module({3, 4}, {2, 3});
  module.to(DType::f64);
  for (const int64_t length : {1, 3, 7, 12}) {
    check_gradients(
        "axial", [&](const Tensors&) { return Tensors{module(length)}; }, module.parameters());
  }
}

TEST_CASE("a short length of a large grid is cheap") {
  nn::AxialPositionalEmbedding module({1024, 512}, {8, 8});
  module.eval();
  const NoGrad scope;
  const int64_t before = memory::stats(Device::cpu(), memory::Category::working).live;
  memory::reset_peak();
  const Tensor y = module(100);
  CHECK(memory::stats(Device::cpu(), memory::Category::working).peak - before < 3 * 100 * 16 * 4);
}

TEST_CASE("learned positions are the table's first rows") {
  nn::LearnedPositionalEmbedding module(10, 4);
  CHECK(parameter_names(module) == Names{"embedding.weight"});
  const Numbers table = parameter(module, "embedding.weight").to_vector<double>();
  CHECK(error_of(module(3), Numbers(table.begin(), table.begin() + 12)) == 0);
  CHECK(module.describe() == "LearnedPositionalEmbedding(10 x 4)");
  module.to(DType::f64);
  check_gradients(
      "learned", [&](const Tensors&) { return Tensors{module(3)}; }, module.parameters());
}

TEST_CASE("positions' errors") {
  CHECK_THROWS_WITH_AS(nn::LearnedPositionalEmbedding(10, 4)(11),
                       "positions: length 11 exceeds 10 positions", Error);
  CHECK_THROWS_WITH_AS(nn::AxialPositionalEmbedding({3, 4}, {2, 3})(13),
                       "positions: length 13 exceeds the 12 positions of shape (3, 4)", Error);
  CHECK_THROWS_WITH_AS(nn::AxialPositionalEmbedding({3, 4}, {2}),
                       "axial positions: 2 axes with 1 widths; one width per axis is needed",
                       Error);
  CHECK_THROWS_WITH_AS(nn::AxialPositionalEmbedding({3, 0}, {2, 2}),
                       "axial positions: axis 1 has size 0 and width 2", Error);
  const std::vector<int64_t> thousand(7, 1000), one(7, 1);  // 10^21 positions
  CHECK_THROWS_WITH_AS(
      nn::AxialPositionalEmbedding(thousand, one),
      "axial positions: shape (1000, 1000, 1000, 1000, 1000, 1000, 1000) has too many positions",
      Error);
  CHECK_THROWS_WITH_AS(nn::LearnedPositionalEmbedding(0, 4),
                       "positions: 0 positions of width 4; both must be at least 1", Error);
}
