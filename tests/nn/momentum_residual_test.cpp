#include <tenet/nn/momentum_residual.h>
#include <tenet/ops/matmul.h>
#include <tenet/ops/views.h>

#include "reversible_check.h"

using namespace tenet;
using namespace tenet::test;

namespace {

using Residual = nn::MomentumResidual;

std::shared_ptr<Residual> residual(double dropout = 0) {
  set_seed(4);
  return std::make_shared<Residual>(std::make_shared<Net>(4, 4, dropout));
}

Tensors streams(DType dtype = DType::f64) {
  return {normal({5, 2, 4}, 1, dtype), normal({5, 2, 4}, 2, dtype)};
}

}  // namespace

TEST_CASE("the inverse of a momentum residual gives x back up to rounding") {
  const auto f = residual();
  CHECK(rebuilding_error(*f, streams(DType::f32)) < 1e-6);
  f->to(DType::f64);
  CHECK(rebuilding_error(*f, streams()) < 1e-14);
}

TEST_CASE("the rounding error of a deep stack grows no faster than 1 / momentum to its depth") {
  set_seed(4);
  nn::ReversibleStack stack;
  constexpr int depth = 30;
  for (int i = 0; i < depth; ++i) {
    stack.add(std::make_shared<Residual>(std::make_shared<Net>(4, 4)));
  }
  const NoGrad scope;
  const Tensors x = streams(DType::f32);
  const double error = worst_difference(stack.inverse(stack(x).y), x);
  MESSAGE("30 momentum residuals and their inverses in f32: off by " << error);
  CHECK(error < depth * std::pow(0.9, -depth) * 1.2e-7);
}

TEST_CASE("gradients of a momentum residual equal those of plain ops") {
  const auto f = residual();
  const auto p = [&](const std::string& name) { return parameter(*f, "f." + name); };
  check_against_plain(f, streams(), [&](const Tensors& x) {
    const Tensor hidden = tanh(matmul(x[0], transpose(p("first.weight"), 0, 1)) + p("first.bias"));
    const Tensor y = matmul(hidden, transpose(p("second.weight"), 0, 1)) + p("second.bias");
    const Tensor v = 0.9 * x[1] + 0.1 * y;
    return Tensors{x[0] + v, v};
  });
}

TEST_CASE("under Autocast a momentum residual has the gradients of kept activations") {
  const auto gradients = [](bool reversible) {
    nn::ReversibleStack stack;
    stack.add(residual());
    stack.set_reversible(reversible);
    Tensor x = normal({2, 4}, 1, DType::f32).set_requires_grad(true), loss;
    {
      const Autocast scope(DType::bf16);
      Tensors streams{x * 1, zeros({2, 4})};
      loss = sum(square(stack(std::move(streams)).y[0]));
    }
    backward(loss);
    return Tensors{x.grad(), parameter(stack, "0.f.first.weight").grad()};
  };
  CHECK(worst_difference(gradients(true), gradients(false)) < 1e-2);
}

TEST_CASE("dropout inside a momentum residual is replayed") {
  check_dropout_replay(residual(0.5), streams());
}

TEST_CASE("errors of a momentum residual") {
  const auto net = std::make_shared<Net>(4, 8);
  check_error([&] { Residual(net, {.momentum = 1}); },
              "momentum_residual: momentum is 1; it must lie between 0 and 1");
  check_error([&] { Residual(net, {.momentum = 0}); },
              "momentum_residual: momentum is 0; it must lie between 0 and 1");
  Residual f(net, {.name = "layers.3"});
  const Tensor x = normal({2, 4}, 1);
  check_error([&] { f.forward({x}); }, "layers.3: 1 streams, x and v are needed");
  check_error([&] { f.forward({x, normal({2, 3}, 1)}); }, "layers.3: x has shape (2, 4), v (2, 3)");
  check_error(
      [&] {
        f.forward({x, x});
      },
      "layers.3: the function gives shape (2, 8) for a stream of shape (2, 4)");
}
