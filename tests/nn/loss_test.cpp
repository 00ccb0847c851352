#include "module_check.h"

#include <tenet/nn/loss.h>
#include <tenet/ops/elementwise.h>

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

TEST_CASE("cross_entropy_loss with class weights and label smoothing is cross_entropy's") {
  const Tensor logits = normal({7, 5}, 3), target = from_vector(targets, {7});
  const Tensor weight = from_vector<float>({1, 2, 3, 4, 5}, {5});
  const nn::CrossEntropyLoss loss({.weight = weight, .label_smoothing = 0.1});
  CHECK(same_bits(loss(logits, target),
                  cross_entropy(logits, target, {.weight = weight, .label_smoothing = 0.1})));
  CHECK(loss.named_buffers().size() == 1);
  CHECK_THROWS_WITH_AS(loss(logits, nn::Linear(5, 5), target),
                       "cross_entropy_loss: with a head there are no class weights and no label "
                       "smoothing; call it with head(hidden)",
                       Error);
}

TEST_CASE("loss modules are the functions") {
  const Tensor x = normal({3, 4}, 1), t = normal({3, 4}, 2), p = sigmoid(t);
  const Tensor weight = from_vector<float>({1, 2, 3, 4}, {4});
  const Tensor classes = from_vector<int64_t>({3, 0, 1}, {3});
  for (const Reduction r : {Reduction::none, Reduction::sum, Reduction::mean}) {
    CHECK(same_bits(nn::MseLoss(r)(x, t), mse_loss(x, t, r)));
    CHECK(same_bits(nn::L1Loss(r)(x, t), l1_loss(x, t, r)));
    CHECK(same_bits(nn::HuberLoss(0.5, r)(x, t), huber_loss(x, t, 0.5, r)));
    CHECK(same_bits(nn::SmoothL1Loss(0.5, r)(x, t), smooth_l1_loss(x, t, 0.5, r)));
    const BinaryCrossEntropyOptions bce{.weight = weight, .pos_weight = weight, .reduction = r};
    CHECK(same_bits(nn::BceWithLogitsLoss(bce)(x, p), binary_cross_entropy_with_logits(x, p, bce)));
    CHECK(same_bits(nn::KlDivLoss({.reduction = r})(x, p), kl_div(x, p, {.reduction = r})));
    CHECK(same_bits(nn::NllLoss({.reduction = r, .weight = weight})(x, classes),
                    nll_loss(x, classes, {.reduction = r, .weight = weight})));
  }
  const nn::BceWithLogitsLoss module({.pos_weight = weight});
  CHECK(module.named_buffers().size() == 1);
  CHECK(nn::NllLoss().named_buffers().empty());
}
