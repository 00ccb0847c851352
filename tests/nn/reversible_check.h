/// What the tests of reversible modules share: rebuilding, gradients against plain ops, the
/// determinant by brute force.
#pragma once

#include <tenet/core/autograd.h>
#include <tenet/core/memory.h>
#include <tenet/nn/dropout.h>
#include <tenet/nn/linear.h>
#include <tenet/nn/reversible_stack.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/elementwise.h>
#include <tenet/ops/reduce.h>

#include <functional>
#include <memory>
#include <utility>

#include "module_check.h"

namespace tenet::test {

/// tanh(linear(dropout(linear(x)))): (.., in) -> (.., out).
struct Net : nn::Module {
  nn::Linear first, second;
  nn::Dropout dropout;
  Net(int64_t in, int64_t out, double p = 0) : first(in, 8), second(8, out), dropout(p) {}
  Tensor operator()(const Tensor& x) const { return second(dropout(tanh(first(x)))); }
  void fields(nn::Fields& f) override { f("first", first), f("second", second), f("d", dropout); }
};

using Map = std::function<Tensors(const Tensors&)>;

/// sum_i <c_i, y_i> with random c_i.
inline Tensor weighted(const Tensors& y) {
  Tensor loss;
  for (size_t i = 0; i < y.size(); ++i) {
    const Tensor term = sum(y[i] * normal(y[i].shape(), 50 + i, y[i].dtype()));
    loss = loss.defined() ? loss + term : term;
  }
  return loss;
}

inline double worst_difference(const Tensors& a, const Tensors& b) {
  REQUIRE(a.size() == b.size());
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    CAPTURE(i);
    REQUIRE(a[i].shape() == b[i].shape());
    worst = std::max(worst, error_of(a[i], b[i].to_vector<double>()));
  }
  return worst;
}

/// The largest difference between x and inverse(forward(x)).
inline double rebuilding_error(ReversibleFunction& f, const Tensors& x) {
  const NoGrad scope;
  return worst_difference(f.inverse(f.forward(x)), x);
}

/// Loss, first gradients and the gradients of their squared sum with respect to the leaves and all
/// parameters.
inline Tensors derivatives(const nn::Module& module, const Tensors& leaves, const Map& map,
                           bool second) {
  Tensors all = leaves, streams;
  for (const Tensor& parameter : module.parameters()) all.push_back(parameter);
  for (const Tensor& leaf : leaves) streams.push_back(leaf * 1.5);
  const Tensor loss = weighted(map(std::move(streams)));
  Tensors result = grad({loss}, all, {.create_graph = second});
  if (!second) return result;
  Tensor square_sum;
  for (const Tensor& dx : result) {
    const Tensor term = sum(square(dx));
    square_sum = square_sum.defined() ? square_sum + term : term;
  }
  for (const Tensor& d : grad({square_sum}, all, {.allow_unused = true})) {
    if (d.defined()) result.push_back(d);
  }
  return result;
}

/// Checks the gradients through reversible() (first and second, f64) against those of `plain`,
/// which computes the same with ordinary ops.
template <class M>
void check_against_plain(const std::shared_ptr<M>& module, const Tensors& x, const Map& plain) {
  module->to(DType::f64);
  Tensors leaves;
  for (const Tensor& t : x) leaves.push_back(t.to(DType::f64).clone().set_requires_grad(true));
  const Map moved = [&](Tensors streams) { return reversible(module, std::move(streams)); };
  for (const bool second : {false, true}) {
    CAPTURE(second);
    const int64_t calls = detail::reversible_counters().inverse_calls;
    const Tensors want = derivatives(*module, leaves, plain, second);
    CHECK(detail::reversible_counters().inverse_calls == calls);
    const Tensors got = derivatives(*module, leaves, moved, second);
    CHECK(detail::reversible_counters().inverse_calls == calls + 1);
    const double worst = worst_difference(got, want);
    MESSAGE(module->name() << std::string(second ? ", second" : ", first") << " derivative: off by "
                           << worst);
    CHECK(worst < 1e-10);
  }
}

/// Checks that the dropout inside is drawn again in the replay: the gradients through reversible()
/// (f64) equal those of plain ops with the same seed.
template <class M>
void check_dropout_replay(const std::shared_ptr<M>& module, const Tensors& x) {
  module->to(DType::f64);
  Tensors leaves;
  for (const Tensor& t : x) leaves.push_back(t.to(DType::f64).clone().set_requires_grad(true));
  const auto run = [&](const Map& map) {
    set_seed(9);
    return derivatives(*module, leaves, map, false);
  };
  const Tensors moved = run([&](Tensors y) { return reversible(module, std::move(y)); });
  CHECK(worst_difference(moved, run([&](const Tensors& y) { return module->forward(y); })) < 1e-12);
}

/// log|det| of the n x n matrix `a` by elimination with pivots.
inline double log_determinant(std::vector<Numbers> a) {
  double result = 0;
  for (size_t k = 0; k < a.size(); ++k) {
    size_t pivot = k;
    for (size_t i = k; i < a.size(); ++i) {
      if (std::abs(a[i][k]) > std::abs(a[pivot][k])) pivot = i;
    }
    std::swap(a[k], a[pivot]);
    result += std::log(std::abs(a[k][k]));
    for (size_t i = k + 1; i < a.size(); ++i) {
      const double factor = a[i][k] / a[k][k];
      for (size_t j = k; j < a.size(); ++j) a[i][j] -= factor * a[k][j];
    }
  }
  return result;
}

/// log|det dy/dx| of the streams x (f64, one batch element) by central differences; f's first
/// x.size() outputs count.
inline double log_determinant(const Map& f, const Tensors& x) {
  const NoGrad scope;
  const auto flat = [&](const Tensors& y) {
    Numbers all;
    for (size_t i = 0; i < x.size(); ++i) {
      for (double v : y[i].to_vector<double>()) all.push_back(v);
    }
    return all;
  };
  constexpr double step = 1e-5;
  std::vector<Numbers> jacobian;
  for (const Tensor& stream : x) {
    for (int64_t k = 0; k < stream.numel(); ++k) {
      double& value = stream.mutable_data<double>()[k];
      const double kept = value;
      value = kept + step;
      const Numbers above = flat(f(x));
      value = kept - step;
      const Numbers below = flat(f(x));
      value = kept;
      Numbers row;
      for (size_t i = 0; i < above.size(); ++i) row.push_back((above[i] - below[i]) / (2 * step));
      jacobian.push_back(std::move(row));
    }
  }
  return log_determinant(std::move(jacobian));
}

}  // namespace tenet::test
