/// Promises of a stack: memory flat in depth, gradients of kept activations, one log-determinant.
#include <tenet/nn/affine_coupling.h>
#include <tenet/nn/invertible_mixing.h>
#include <tenet/nn/momentum_residual.h>
#include <tenet/nn/reversible_stack.h>

#include "reversible_check.h"

using namespace tenet;
using namespace tenet::test;

namespace {

/// Steps of Glow over streams of 3 and 4 channels: mixing, then a coupling each way.
nn::ReversibleStack flow(int depth, double dropout = 0) {
  set_seed(4);
  nn::ReversibleStack stack;
  for (int i = 0; i < depth; ++i) {
    stack.add(std::make_shared<nn::InvertibleMixing>(7));
    stack.add(std::make_shared<nn::AffineCoupling>(std::make_shared<Net>(3, 8, dropout)));
    stack.add(std::make_shared<nn::AffineCoupling>(std::make_shared<Net>(4, 6, dropout),
                                                   nn::AffineCouplingOptions{.swapped = true}));
  }
  return stack;
}

nn::ReversibleStack momentum(int depth, double dropout = 0) {
  set_seed(4);
  nn::ReversibleStack stack;
  for (int i = 0; i < depth; ++i) {
    stack.add(std::make_shared<nn::MomentumResidual>(std::make_shared<Net>(4, 4, dropout)));
  }
  return stack;
}

struct Run {
  Tensors gradients;
  int64_t peak = 0;
  detail::ReversibleCounters counters;
};

/// The gradients of a training step on streams of `widths` channels and `batch` elements, in f64.
Run step(nn::ReversibleStack& stack, const std::vector<int64_t>& widths, int64_t batch) {
  stack.to(DType::f64);
  Run run;
  const auto live = [] { return memory::stats(Device::cpu(), memory::Category::working); };
  Tensors leaves, x;
  for (const int64_t width : widths) {
    leaves.push_back(normal({batch, width}, 20 + width, DType::f64).set_requires_grad(true));
  }
  set_seed(8);
  detail::reversible_counters() = {};
  const int64_t before = live().live;
  memory::reset_peak();
  {
    for (const Tensor& leaf : leaves) x.push_back(leaf * 2);
    auto [y, log_det] = stack(std::move(x));
    Tensor loss = weighted(y);
    if (log_det.defined()) loss = loss + weighted({log_det});
    y.clear();
    log_det = Tensor();
    backward(loss);
  }
  run.peak = live().peak - before;
  run.counters = detail::reversible_counters();
  for (const Tensor& leaf : leaves) run.gradients.push_back(leaf.grad());
  for (const Tensor& p : stack.parameters()) run.gradients.push_back(p.grad());
  stack.clear_grad();
  return run;
}

struct Kind {
  std::string name;
  std::function<nn::ReversibleStack(int depth, double dropout)> make;
  std::vector<int64_t> widths;
};

std::vector<Kind> kinds() { return {{"flow", flow, {3, 4}}, {"momentum", momentum, {4, 4}}}; }

}  // namespace

TEST_CASE("gradients of a stack are those of kept activations, dropout included") {
  for (const Kind& kind : kinds()) {
    CAPTURE(kind.name);
    nn::ReversibleStack stack = kind.make(4, 0.25);
    const Run released = step(stack, kind.widths, 6);
    stack.set_reversible(false);
    const Run kept = step(stack, kind.widths, 6);
    const double worst = worst_difference(released.gradients, kept.gradients);
    MESSAGE(kind.name << ": gradients off by " << worst << ", " << released.counters.rebuilds
                      << " rebuilds");
    CHECK(worst < 1e-10);
    CHECK(released.counters.rebuilds > 0);
    CHECK(kept.counters.rebuilds == 0);
  }
}

TEST_CASE("the activation peak of a stack does not grow with depth") {
  constexpr int64_t batch = 256;
  for (const Kind& kind : kinds()) {
    const auto peak = [&](int depth, bool reversible) {
      nn::ReversibleStack stack = kind.make(depth, 0);
      stack.set_reversible(reversible);
      return step(stack, kind.widths, batch).peak;
    };
    const int64_t shallow = peak(2, true), middle = peak(8, true), deep = peak(32, true);
    MESSAGE(kind.name << ": activation peak at depth 2, 8, 32: " << shallow << ", " << middle
                      << ", " << deep << " B; kept " << peak(2, false) << " and " << peak(32, false)
                      << " B");
    // What a flow's depth adds is the log-determinants, one number per batch element and coupling.
    const int64_t log_dets = kind.name == "flow" ? 30 * 2 * batch * 8 : 0;
    CHECK(deep - shallow <= log_dets);
    CHECK(middle - shallow <= log_dets);
  }
}

TEST_CASE("a stack has one log-determinant, that of the Jacobian") {
  nn::ReversibleStack stack = flow(3);
  stack.to(DType::f64);
  const Tensors x{normal({1, 3}, 1, DType::f64), normal({1, 4}, 2, DType::f64)};
  const Tensor got = stack(x).log_det;
  const double want = log_determinant([&](const Tensors& t) { return stack(t).y; }, x);
  CHECK(std::abs(got.item<double>() - want) < 1e-7);
  CHECK_FALSE(momentum(2)({normal({2, 4}, 1), normal({2, 4}, 2)}).log_det.defined());
}

TEST_CASE("the inverse of a stack, its gradient, and blocks by name") {
  nn::ReversibleStack stack = flow(3);
  stack.to(DType::f64);
  CHECK(stack.size() == 9);
  const Tensors x{normal({5, 3}, 1, DType::f64), normal({5, 4}, 2, DType::f64)};
  const Tensors y = stack(x).y;
  CHECK(worst_difference(stack.inverse(y), x) < 1e-13);
  check_gradients("inverse", [&](const Tensors& t) { return stack.inverse(t); },
                  {normal({2, 3}, 1, DType::f64).set_requires_grad(true),
                   normal({2, 4}, 2, DType::f64).set_requires_grad(true)});
  const Names names = parameter_names(stack);
  REQUIRE(names.size() == 27);
  CHECK(names[0] == "0.vectors");
  CHECK(names[1] == "1.net.first.weight");
  nn::ReversibleStack copy = nn::clone(stack);
  CHECK(worst_difference(copy(x).y, y) == 0);
  copy.parameters()[0].mutable_data<double>()[0] += 1;
  CHECK(worst_difference(copy(x).y, y) > 0);
  CHECK(worst_difference(stack(x).y, y) == 0);
}

TEST_CASE("a block that gives too many tensors") {
  struct Doubler : nn::ReversibleModule {
    Tensors forward(const Tensors& x) override { return {x[0], x[0], x[0]}; }
    Tensors inverse(const Tensors& y) override { return {y[0]}; }
    void fields(nn::Fields&) override {}
  };
  nn::ReversibleStack stack;
  stack.add(std::make_shared<Doubler>());
  check_error([&] { stack({normal({2}, 1)}); },
              "reversible_stack: block 0 gives 3 tensors for 1 streams; 1 or, with a "
              "log-determinant, 2 are needed");
}
