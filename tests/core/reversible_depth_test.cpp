/// Second derivatives, very long chains, and functions whose outputs share bytes with what they
/// read.
#include <doctest/doctest.h>
#include <tenet/core/graph.h>
#include <tenet/core/memory.h>
#include <tenet/core/reversible.h>
#include <tenet/core/view.h>

#include "core/couplings.h"

using namespace tenet;
using namespace tenet::test;

namespace {

/// Within `tolerance` times the largest element.
bool close(const Tensors& a, const Tensors& b, double tolerance) {
  bool same = a.size() == b.size();
  for (size_t i = 0; same && i < a.size(); ++i) {
    const Tensor zero = minus(b[i].detach(), b[i].detach());
    same = max_difference(a[i], b[i]) <= tolerance * max_difference(b[i], zero);
  }
  return same;
}

struct Second {
  Tensors first, second;
  int64_t inverse_calls = 0;
  int64_t kept_bytes = 0;
};

/// g = dL/d(x, w); then the gradient of sum <g, g> with respect to x and all weights.
Second second_derivative(Mode mode, const Couplings& fs, const Tensor& x) {
  const int64_t calls = detail::reversible_counters().inverse_calls;
  const int64_t start = working_bytes();
  Tensors all = weights_of(fs);
  all.push_back(x);
  Second result;
  const Tensors y = run_chain(mode, fs, streams_of(x));
  const Tensor loss = weighted(merged(y), pattern({4, 8}, 99, x.dtype()));
  result.first = grad({loss}, all, {.create_graph = true});
  result.kept_bytes = working_bytes() - start;
  Tensor norm;
  for (const Tensor& g : result.first) {
    const Tensor square = total(times(g, g));
    norm = norm.defined() ? plus(norm, square) : square;
  }
  backward(norm);
  result.second = take_grads(all);
  result.inverse_calls = detail::reversible_counters().inverse_calls - calls;
  return result;
}

/// y = (x1, x2 + tanh(x1 w)): hands its first input through.
struct HalfCoupling : ReversibleFunction {
  explicit HalfCoupling(Tensor weight) : w(std::move(weight)) {}
  Tensors forward(const Tensors& x) override {
    return {x[0], plus(x[1], tanh_of(product(x[0], w)))};
  }
  Tensors inverse(const Tensors& y) override {
    ++inverses;
    return {y[0], minus(y[1], tanh_of(product(y[0], w)))};
  }
  Tensor w;
  int inverses = 0;
};

/// y = x + 1 on integers, in one number.
struct Step : ReversibleFunction {
  Tensors forward(const Tensors& x) override { return {moved(x[0], 1)}; }
  Tensors inverse(const Tensors& y) override { return {moved(y[0], -1)}; }
  InverseAndGrad inverse_and_grad(const Tensors& y, const Tensors& dy) override {
    return {inverse(y), dy, {}};
  }
  static Tensor moved(const Tensor& x, int32_t by) {
    Tensor y = empty_fixed(x.shape(), 16);
    view(y).as<int32_t>()[0] = x.data<int32_t>()[0] + by;
    return y;
  }
};

}  // namespace

TEST_CASE("second derivatives equal a plain graph's, with a linear number of inverse calls") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    const double tolerance = dtype == DType::f64 ? 1e-9 : 1e-4;
    for (const int depth : {1, 3, 6}) {
      CAPTURE(depth);
      const Couplings fs = make_couplings(depth, 8, dtype);
      const Tensor x = leaf({4, 8}, 77, dtype);
      const Second plain = second_derivative(Mode::plain, fs, x);
      const Second moved = second_derivative(Mode::moved, fs, x);
      CHECK(close(moved.first, plain.first, tolerance));
      CHECK(close(moved.second, plain.second, tolerance));
      CHECK(moved.inverse_calls <= 2 * depth);
      CHECK(moved.kept_bytes < 2 * plain.kept_bytes);
    }
  }
}

TEST_CASE(
    "a tensor that is input twice, or input and captured, counts once in second derivatives") {
  const Tensor w = leaf({8, 8}, 1, DType::f64), w2 = leaf({8, 8}, 2, DType::f64);
  const auto f = std::make_shared<Coupling>(w, w2);
  Tensors results[2];
  for (const Mode mode : {Mode::plain, Mode::kept}) {
    Tensors x{w, w};
    const Tensors y = apply(mode, f, x);
    const Tensor loss = weighted(merged(y), pattern({8, 8}, 9, DType::f64));
    const Tensor g = grad({loss}, {w}, {.create_graph = true})[0];
    backward(total(times(g, g)));
    results[mode == Mode::kept] = {g.detach(), w.grad(), w2.grad()};
    take_grads({w, w2});
  }
  CHECK(close(results[0], results[1], 1e-9));
}

TEST_CASE("an output that is an input: its bytes serve two nodes") {
  for (const bool retain : {false, true}) {
    Tensors results[2];
    std::vector<std::shared_ptr<HalfCoupling>> fs;
    for (int i = 0; i < 8; ++i)
      fs.push_back(std::make_shared<HalfCoupling>(leaf({8, 8}, i, DType::f64)));
    const Tensor x = leaf({4, 8}, 77, DType::f64);
    Tensors all{x};
    for (const auto& f : fs) all.push_back(f->w);
    for (const Mode mode : {Mode::plain, Mode::moved}) {
      Tensors y{plus(x, x), minus(x, pattern({4, 8}, 3, DType::f64))};
      const auto before = detail::reversible_counters();
      for (const auto& f : fs) {
        std::swap(y[0], y[1]);
        y = apply(mode, f, y);
      }
      if (mode == Mode::moved) CHECK(detail::reversible_counters().releases - before.releases >= 7);
      const Tensor loss = weighted(merged(y), pattern({4, 8}, 9, DType::f64));
      y.clear();
      backward(loss, {.retain_graph = retain});
      if (retain) {
        const Tensors first = take_grads(all);
        backward(loss, {.retain_graph = true});
        for (size_t i = 0; i < all.size(); ++i) CHECK(same_bits(first[i], all[i].grad()));
      }
      results[mode == Mode::moved] = take_grads(all);
    }
    for (const auto& f : fs) CHECK(f->inverses <= (retain ? 3 : 1));
    CHECK(close(results[0], results[1], 1e-12));
  }
}

TEST_CASE("a captured tensor that is handed through gets its gradient") {
  struct HandThrough : ReversibleFunction {
    explicit HandThrough(Tensor t) : w(std::move(t)) {}
    Tensors forward(const Tensors& x) override { return {plus(x[0], x[0]), w}; }
    Tensors inverse(const Tensors& y) override {
      const Tensor half = from_vector(std::vector<double>(32, 0.5), {4, 8});
      return {times(y[0], half)};
    }
    Tensor w;
  };
  const Tensor w = leaf({4, 8}, 1, DType::f64), x = leaf({4, 8}, 2, DType::f64);
  const Tensor c = pattern({4, 8}, 3, DType::f64);
  const Tensors y = reversible(std::make_shared<HandThrough>(w), x);
  backward(weighted(plus(y[0], y[1]), c));
  CHECK(same_bits(w.grad(), c));
  CHECK(same_bits(x.grad(), plus(c, c)));
}

TEST_CASE("a chain of 100,000 reversible nodes") {
  const int64_t start = memory::stats(Device::cpu()).live;
  const auto before = detail::reversible_counters();
  const auto f = std::make_shared<Step>();
  constexpr int depth = 100'000;
  const auto build = [&](const Tensor& x) {
    Tensors y{to_fixed(x)};
    for (int i = 0; i < depth; ++i) y = reversible(f, std::move(y));
    return from_fixed(y[0]);
  };
  {
    const Tensor x = leaf({1}, 3);
    const Tensor y = build(x);
    CHECK(memory::stats(Device::cpu()).live - start < 1000);
    backward(y, {.retain_graph = true});
    backward(y);
    CHECK(x.grad().item<float>() == 2.0f);
    CHECK(detail::reversible_counters().inverse_calls - before.inverse_calls == 2 * depth);
    build(x);  // destroyed without a backward
  }
  CHECK(memory::stats(Device::cpu()).live == start);
}

TEST_CASE("restorers that outlive their nodes bring bytes back and are destroyed without depth") {
  const int64_t start = memory::stats(Device::cpu()).live;
  const auto f = std::make_shared<Step>();
  constexpr int depth = 100'000;
  const auto branch = [&](const Tensor& x) {
    Tensors y = reversible(f, to_fixed(x));
    Tensor early = from_fixed(y[0]);
    for (int i = 0; i < depth; ++i) y = reversible(f, std::move(y));
    return early;  // the nodes above are gone, their restorers are held by the bytes below
  };
  {
    const Tensor x = leaf({1}, 3);
    const Tensor y = branch(x);
    const auto before = detail::reversible_counters();
    backward(y);
    CHECK(x.grad().item<float>() == 1.0f);
    CHECK(detail::reversible_counters().inverse_calls - before.inverse_calls == depth + 1);
    branch(x);
  }
  CHECK(memory::stats(Device::cpu()).live == start);
}
