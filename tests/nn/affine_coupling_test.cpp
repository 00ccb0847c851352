#include <tenet/nn/affine_coupling.h>
#include <tenet/ops/matmul.h>
#include <tenet/ops/views.h>

#include "reversible_check.h"

using namespace tenet;
using namespace tenet::test;

namespace {

using Coupling = nn::AffineCoupling;

std::shared_ptr<Coupling> coupling(bool swapped, double dropout = 0) {
  set_seed(4);
  const auto net =
      swapped ? std::make_shared<Net>(4, 6, dropout) : std::make_shared<Net>(3, 8, dropout);
  return std::make_shared<Coupling>(net, nn::AffineCouplingOptions{.swapped = swapped});
}

Tensors streams(DType dtype = DType::f64, int64_t batch = 5) {
  return {normal({batch, 2, 3}, 1, dtype), normal({batch, 2, 4}, 2, dtype)};
}

/// The definition, from the coupling's parameters.
Tensors by_definition(const nn::Module& module, const Tensors& x, bool swapped) {
  const auto p = [&](const std::string& name) { return parameter(module, "net." + name); };
  const Tensor &from = x[swapped], &to = x[!swapped];
  const Tensor hidden = tanh(matmul(from, transpose(p("first.weight"), 0, 1)) + p("first.bias"));
  const Tensor both = matmul(hidden, transpose(p("second.weight"), 0, 1)) + p("second.bias");
  const int64_t width = to.size(-1);
  const Tensor s = 2 * tanh(slice(both, 2, 0, width) / 2);
  const Tensor y = to * exp(s) + slice(both, 2, width, 2 * width);
  const Tensor log_det = sum(sum(s, 2), 1);
  return swapped ? Tensors{y, from, log_det} : Tensors{from, y, log_det};
}

}  // namespace

TEST_CASE("the inverse of an affine coupling gives x back up to rounding") {
  for (const bool swapped : {false, true}) {
    const auto f = coupling(swapped);
    CHECK(rebuilding_error(*f, streams(DType::f32)) < 1e-6);
    f->to(DType::f64);
    CHECK(rebuilding_error(*f, streams()) < 1e-14);
    const NoGrad scope;
    Tensors y = f->forward(streams());
    REQUIRE(y.size() == 3);
    y.pop_back();
    CHECK(worst_difference(f->inverse(y), streams()) < 1e-14);
  }
}

TEST_CASE("gradients of an affine coupling and of its log-determinant equal those of plain ops") {
  for (const bool swapped : {false, true}) {
    const auto f = coupling(swapped);
    check_against_plain(f, streams(),
                        [&](const Tensors& x) { return by_definition(*f, x, swapped); });
  }
}

TEST_CASE("gradients where only some outputs have one") {
  const auto f = coupling(false);
  f->to(DType::f64);
  const Tensors x = streams();
  for (const size_t used : {0u, 1u, 2u}) {
    CAPTURE(used);
    const auto run = [&](const Map& map) {
      const Tensors leaves{x[0].clone().set_requires_grad(true),
                           x[1].clone().set_requires_grad(true)};
      backward(weighted({map({leaves[0] * 2, leaves[1] * 2})[used]}));
      Tensors result;
      for (const Tensor& leaf : leaves) {
        result.push_back(leaf.grad().defined() ? leaf.grad() : leaf.detach() * 0);
      }
      for (const Tensor& p : f->parameters()) {
        result.push_back(p.grad().defined() ? p.grad() : p.detach() * 0);
      }
      f->clear_grad();
      return result;
    };
    const Tensors want = run([&](const Tensors& t) { return by_definition(*f, t, false); });
    const Tensors got = run([&](Tensors t) { return reversible(f, std::move(t)); });
    CHECK(worst_difference(got, want) < 1e-12);
  }
}

TEST_CASE("the log-determinant is that of the Jacobian") {
  for (const bool swapped : {false, true}) {
    const auto f = coupling(swapped);
    f->to(DType::f64);
    const Tensors x = streams(DType::f64, 1);
    const double want = log_determinant([&](const Tensors& t) { return f->forward(t); }, x);
    const double got = f->forward(x)[2].item<double>();
    MESSAGE("log|det|: " << got << ", by differences " << want);
    CHECK(std::abs(got - want) < 1e-7);
    CHECK(std::abs(want) > 0.1);
  }
}

TEST_CASE("the scale stays bounded") {
  const auto net = std::make_shared<Net>(3, 8);
  net->second.bias.mutable_data<float>()[0] = 1e6F;
  Coupling f(net, {.limit = 1.5});
  const NoGrad scope;
  const Tensor x = normal({1, 3}, 1), y = normal({1, 4}, 2) * 0 + 1;
  const Tensors z = f.forward({x, y});
  const Tensor t = slice((*net)(x), 1, 4, 8);
  CHECK((z[1] - t).to_vector<double>()[0] == doctest::Approx(std::exp(1.5)).epsilon(1e-5));
}

TEST_CASE("dropout inside an affine coupling is replayed") {
  check_dropout_replay(coupling(false, 0.5), streams());
}

TEST_CASE("errors of an affine coupling") {
  const auto net = std::make_shared<Net>(3, 8);
  check_error([&] { Coupling(net, {.limit = 0}); },
              "affine_coupling: limit is 0; it must be positive");
  check_error([] { Coupling(std::shared_ptr<Net>()); }, "module: the pointer is null");
  Coupling f(net, {.name = "flow.3"});
  const Tensor x = normal({2, 3}, 1);
  check_error([&] { f.forward({x}); }, "flow.3: 1 streams, a coupling needs 2");
  check_error([&] { f.inverse({x}); }, "flow.3: 1 streams, a coupling needs 2");
  check_error(
      [&] {
        f.forward({x, normal({4}, 1)});
      },
      "flow.3: a stream of shape (4,); (batch, .., channels) is needed");
  check_error(
      [&] {
        f.forward({x, normal({2, 3}, 1)});
      },
      "flow.3: the net gives shape (2, 8), (2, 6) is needed to change a stream (2, 3)");
}
