/// Promise: in exact mode the gradients are those of the same blocks with every activation kept,
/// bit for bit, at any depth, with dropout, for every kind of attention.
#include "small_reformer.h"

#include <tenet/core/memory.h>
#include <tenet/core/reversible.h>
#include <tenet/ops/arithmetic.h>

using namespace tenet;
using namespace tenet::test;

namespace {

struct Measured {
  StepResult step;
  detail::ReversibleCounters counters;
  int64_t activation_peak = 0;
};

Measured measure(Reformer& model, const Tensor& tokens, const Tensor& targets) {
  Measured result;
  detail::reversible_counters() = {};
  const int64_t before = memory::stats(test_device(), memory::Category::working).live;
  memory::reset_peak(test_device());
  result.step = training_step(model, tokens, targets);
  result.activation_peak = memory::stats(test_device(), memory::Category::working).peak - before;
  result.counters = detail::reversible_counters();
  return result;
}

void check_exact(const std::string& attention, int64_t depth) {
  const SmallOptions options{.attention = attention, .layers = depth, .dropout = 0.1};
  Reformer model(small_config(options));
  model.to(test_device());
  model.train();
  const Tensor tokens = random_tokens({2, 64}, 1), targets = random_tokens({2, 64}, 2);
  const Measured rebuilt = measure(model, tokens, targets);
  model.set_reversible(false);
  const Measured kept = measure(model, tokens, targets);
  check_same_bits(rebuilt.step, kept.step);
  // Both streams of every block; nobody needs those of the first one back.
  CHECK(rebuilt.counters.releases == 2 * depth);
  CHECK(rebuilt.counters.rebuilds == 2 * (depth - 1));
  CHECK(rebuilt.counters.inverse_calls == depth);
  CHECK(kept.counters.releases == 0);

  SmallOptions floating = options;
  floating.residual = "float";
  Reformer float_model(small_config(floating));
  float_model.to(test_device());
  float_model.train();
  const StepResult inverted = training_step(float_model, tokens, targets);
  float_model.set_reversible(false);
  const StepResult stored = training_step(float_model, tokens, targets);
  MESSAGE(attention << " depth " << depth << ": releases " << rebuilt.counters.releases
                    << ", rebuilds " << rebuilt.counters.rebuilds << ", inverse calls "
                    << rebuilt.counters.inverse_calls << ", activation peak "
                    << rebuilt.activation_peak << " B (kept " << kept.activation_peak
                    << " B); gradients equal to the bit; float residual off by "
                    << relative_difference(inverted, stored));
}

}  // namespace

TEST_CASE("exact mode: gradients equal those with activations kept, bit for bit") {
  for (const char* attention : {"lsh", "full", "local"}) {
    for (int64_t depth : {2, 12}) check_exact(attention, depth);
  }
}

TEST_CASE("exact mode at depth 48" * doctest::test_suite("slow")) {
  for (const char* attention : {"lsh", "full"}) check_exact(attention, 48);
}

TEST_CASE("exact mode under Autocast: gradients equal those with activations kept, bit for bit") {
  for (const DType dtype : {DType::bf16, DType::f16}) {
    const Autocast scope(dtype);
    for (const char* attention : {"lsh", "full", "local"}) check_exact(attention, 6);
  }
}

TEST_CASE("activation peak does not grow with depth") {
  std::vector<int64_t> peaks;
  for (int64_t depth : {2, 8, 32}) {
    Reformer model(small_config({.attention = "lsh", .layers = depth, .length = 512}));
    model.to(test_device());
    model.train();
    peaks.push_back(
        measure(model, random_tokens({1, 512}, 1), random_tokens({1, 512}, 2)).activation_peak);
  }
  const int64_t activation = 512 * 16 * 4;
  CHECK(std::abs(peaks[1] - peaks[0]) < activation);
  CHECK(std::abs(peaks[2] - peaks[0]) < activation);
}
