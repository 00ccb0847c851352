#include "module_check.h"

#include <tenet/nn/loss.h>

using namespace tenet;
using namespace tenet::test;

namespace {

/// Per-position losses from rows of `classes` logits; 0 where the target is ignored.
Numbers losses(const Numbers& logits, const std::vector<int64_t>& targets, size_t classes) {
  Numbers result;
  for (size_t row = 0; row < targets.size(); ++row) {
    double sum = 0;
    for (size_t c = 0; c < classes; ++c) sum += std::exp(logits[row * classes + c]);
    const int64_t target = targets[row];
    const bool counts = target != -100;
    result.push_back(counts ? std::log(sum) - logits[row * classes + static_cast<size_t>(target)]
                            : 0);
  }
  return result;
}

const std::vector<int64_t> targets{4, 0, -100, 2, 1, 3, 3};

}  // namespace

TEST_CASE("cross_entropy_loss from logits and from hidden states") {
  Generator generator(1);
  nn::Linear head(3, 5, {.generator = &generator});
  const Tensor hidden = normal({1, 7, 3}, 2), target = from_vector(targets, {1, 7});
  const Numbers logits = affine(hidden.to_vector<double>(), head.weight, head.bias);
  double want = 0;
  for (const double loss : losses(logits, targets, 5)) want += loss / 6;

  const nn::CrossEntropyLoss loss;
  CHECK(loss(head(hidden), target).item<double>() == doctest::Approx(want).epsilon(1e-6));
  const Tensor whole = loss(hidden, head, target);
  CHECK(whole.item<double>() == doctest::Approx(want).epsilon(1e-6));
  for (const int64_t chunk : {1, 2, 3, 6, 7, 100}) {
    const nn::CrossEntropyLoss chunked({.chunk = chunk});
    CHECK(same_bits(chunked(hidden, head, target), whole));
    nn::Linear wide = nn::clone(head);
    check_module_gradients("cross_entropy_loss", wide, hidden,
                           [&](const Tensor& x) { return chunked(x, wide, target); });
  }
}

TEST_CASE("cross_entropy_loss's options") {
  const Tensor logits = normal({7, 5}, 3, DType::f64);
  std::vector<int64_t> others = targets;
  others[2] = 0;
  const Numbers want = losses(logits.to_vector<double>(), others, 5);
  const nn::CrossEntropyLoss each({.reduction = Reduction::none});
  CHECK(error_of(each(logits, from_vector(others, {7})), want) < 1e-12);
  const nn::CrossEntropyLoss total({.ignore_index = 3, .reduction = Reduction::sum});
  CHECK(total(logits, from_vector(others, {7})).item<double>() ==
        doctest::Approx(want[0] + want[1] + want[2] + want[3] + want[4]));
  CHECK_THROWS_WITH_AS(nn::CrossEntropyLoss({.chunk = 0}),
                       "cross_entropy_loss: a chunk of 0 positions; at least 1 is needed", Error);
}
