#include <doctest/doctest.h>
#include <tenet/core/autograd.h>
#include <tenet/core/graph.h>
#include <tenet/core/memory.h>

#include <cmath>
#include <thread>

#include "core/small_ops.h"

using namespace tenet;
using namespace tenet::test;

namespace {

/// A node that has no second derivative.
struct OnceNode : Node {
  Tensors backward(const Tensors& dy) override { return {dy[0]}; }
  bool once_differentiable() const override { return true; }
};

}  // namespace

TEST_CASE("a leaf adds up what backward sends") {
  const Tensor x = leaf({2, 3}, 1), c = pattern({2, 3}, 2);
  backward(weighted(x, c));
  CHECK(same_bits(x.grad(), c));
  const Tensor held = x.grad();
  backward(weighted(x, c));
  CHECK(same_bits(x.grad(), plus(c, c)));
  CHECK(same_bits(held, c));  // a gradient that somebody holds does not change under him
  x.clear_grad();
  CHECK_FALSE(x.grad().defined());
  CHECK(x.grad().defined() == false);
}

TEST_CASE("gradients of leaves count as gradient") {
  const Tensor x = leaf({1000}, 1);
  const auto live = [] { return memory::stats(Device::cpu(), memory::Category::gradient).live; };
  const int64_t start = live();
  for (int i = 0; i < 3; ++i) {
    const Tensor held = x.grad();
    backward(total(times(x, x)));
    CHECK(live() == start + 4000 * (held.defined() ? 2 : 1));
  }
  CHECK(live() == start + 4000);
}

TEST_CASE("a tensor used many times gets one gradient") {
  const Tensor x = leaf({3}, 1, DType::f64);
  const Tensor a = times(x, x), b = times(a, x);  // diamonds: x^3 + x^2
  backward(total(plus(b, a)));
  const Tensor expected = plus(plus(a, a), a);
  CHECK(max_difference(x.grad(), plus(expected, plus(x, x))) < 1e-12);
}

TEST_CASE("a wide and deep diamond is walked once") {
  const Tensor x = leaf({1}, 3, DType::f64);
  Tensor y = x;
  for (int i = 0; i < 60; ++i) y = plus(y, y);  // 2^60 paths
  backward(y);
  CHECK(x.grad().item<double>() == std::ldexp(1.0, 60));
}

TEST_CASE("backward needs a graph, a number or dy, and a dy that fits") {
  const Tensor x = leaf({2, 3}, 1);
  CHECK(error_of([&] { backward(x.detach()); }) ==
        "backward: the tensor of shape (2, 3) has no graph; no input needs a gradient");
  CHECK(error_of([&] { backward(plus(x, x)); }) ==
        "backward: y has shape (2, 3); pass .dy, or reduce y to one element");
  CHECK(error_of([&] { backward(plus(x, x), {.dy = pattern({2}, 1)}); }) ==
        "backward: dy is f32 (2,) on cpu, y needs f32 (2, 3) on cpu");
  CHECK(error_of([&] {
          backward(plus(x, x), {.dy = pattern({2, 3}, 1, DType::f64)});
        }) == "backward: dy is f64 (2, 3) on cpu, y needs f32 (2, 3) on cpu");
  const Tensor dy = pattern({2, 3}, 4);
  backward(plus(x, x), {.dy = dy});
  CHECK(same_bits(x.grad(), plus(dy, dy)));
  backward(x, {.dy = dy});  // a leaf is its own graph
  CHECK(same_bits(x.grad(), plus(plus(dy, dy), dy)));
}

TEST_CASE("a graph is freed by backward unless it is retained") {
  const Tensor x = leaf({3}, 1);
  const Tensor y = total(times(x, x));
  backward(y, {.retain_graph = true});
  const Tensor once = x.grad();
  backward(y);
  CHECK(same_bits(x.grad(), plus(once, once)));
  CHECK(error_of([&] { backward(y); }) ==
        "backward: what times saved was freed by an earlier backward; pass .retain_graph = true to "
        "it");
  const Tensor z = plus(x, x);  // saves nothing, so there is nothing to miss
  backward(total(z));
  backward(total(z));
}

TEST_CASE("freeing the graph frees what it saved") {
  const Tensor x = leaf({1000}, 1);
  const int64_t start = working_bytes();
  const Tensor y = total(tanh_of(x));
  CHECK(working_bytes() == start + 4000 + 4);
  backward(y);
  CHECK(working_bytes() == start + 4);
}

TEST_CASE("grad gives the gradients of leaves and of tensors in between, and changes no leaf") {
  const Tensor x = leaf({3}, 1, DType::f64), w = leaf({3}, 2, DType::f64), unused = leaf({3}, 3);
  const Tensor h = times(x, w), y = total(times(h, h));
  const Tensors g = grad({y}, {h, x, w, y}, {.retain_graph = true});
  CHECK(same_bits(g[0], plus(h, h)));
  CHECK(max_difference(g[1], times(plus(h, h), w)) < 1e-15);
  CHECK(max_difference(g[2], times(plus(h, h), x)) < 1e-15);
  CHECK(g[3].item<double>() == 1);
  CHECK_FALSE(x.grad().defined());
  CHECK(error_of([&] { grad({y}, {unused}, {.retain_graph = true}); }) ==
        "grad: no y depends on x 0 of shape (3,); pass .allow_unused = true to get an undefined "
        "tensor");
  const Tensors some = grad({y}, {unused, x}, {.retain_graph = true, .allow_unused = true});
  CHECK_FALSE(some[0].defined());
  CHECK(same_bits(some[1], g[1]));
  CHECK(error_of([&] { grad({y}, {x.detach()}); }) ==
        "grad: x 0 of shape (3,) does not need a gradient");
  CHECK(error_of([&] { grad({y}, {x}, {.dy = {scalar(1), scalar(1)}}); }) == "grad: 2 dy for 1 ys");
}

TEST_CASE("grad adds up over several ys, the same one twice included") {
  const Tensor x = leaf({3}, 1, DType::f64);
  const Tensor a = total(times(x, x)), b = plus(x, x), dy = pattern({3}, 5, DType::f64);
  const Tensors g = grad({a, b, a}, {x}, {.dy = {Tensor(), dy, Tensor()}});
  const Tensor twice = plus(x, x);
  CHECK(max_difference(g[0], plus(plus(twice, twice), plus(dy, dy))) < 1e-15);
}

TEST_CASE("grad runs only the nodes between ys and xs") {
  const Tensor x = leaf({3}, 1);
  const Tensor below = tanh_of(x);
  const Tensor y = total(times(below, below));
  grad({y}, {below});
  backward(total(below));  // tanh's saved output is still there
  CHECK(x.grad().defined());
}

TEST_CASE("hooks see the whole gradient once and may replace it") {
  const Tensor x = leaf({3}, 1);
  const Tensor h = plus(x, x);
  int calls = 0;
  Tensor seen;
  h.on_grad([&](const Tensor& dh) {
    ++calls;
    seen = dh;
    return plus(dh, dh);
  });
  x.on_grad([&](const Tensor&) {
    ++calls;
    return Tensor();
  });
  const Tensor a = pattern({3}, 2), b = pattern({3}, 3);
  const Tensor y = plus(weighted(h, a), weighted(h, b));
  backward(y, {.retain_graph = true});
  CHECK(calls == 2);
  CHECK(same_bits(seen, plus(b, a)));
  const Tensor doubled = plus(seen, seen);
  CHECK(same_bits(x.grad(), plus(doubled, doubled)));
  backward(y);
  CHECK(calls == 4);
}

TEST_CASE("retain_grad keeps the gradient of a tensor in between") {
  const Tensor x = leaf({3}, 1);
  const Tensor h = plus(x, x);
  CHECK_FALSE(h.grad().defined());
  h.retain_grad();
  x.retain_grad();
  const Tensor c = pattern({3}, 2);
  const Tensor y = weighted(h, c);
  backward(y, {.retain_graph = true});
  CHECK(same_bits(h.grad(), c));
  grad({y}, {x}, {.retain_graph = true});
  CHECK(same_bits(h.grad(), c));
  backward(y);
  CHECK(same_bits(h.grad(), plus(c, c)));
  h.clear_grad();
  CHECK_FALSE(h.grad().defined());
}

TEST_CASE("second and third derivatives") {
  const Tensor x = leaf({3}, 1, DType::f64);
  const Tensor y = total(tanh_of(x));
  const Tensor g = grad({y}, {x}, {.create_graph = true})[0];
  const Tensor h = grad({total(g)}, {x}, {.create_graph = true})[0];
  const Tensor third = grad({total(h)}, {x})[0];
  const std::vector<double> at = x.to_vector<double>();
  for (size_t i = 0; i < 3; ++i) {
    const double t = std::tanh(at[i]), s = 1 - t * t;
    CHECK(std::abs(g.to_vector<double>()[i] - s) < 1e-14);
    CHECK(std::abs(h.to_vector<double>()[i] + 2 * t * s) < 1e-14);
    CHECK(std::abs(third.to_vector<double>()[i] - (4 * t * t * s - 2 * s * s)) < 1e-14);
  }
}

TEST_CASE("backward with create_graph puts a graph under the leaf's gradient") {
  const Tensor x = leaf({3}, 1, DType::f64);
  backward(total(times(times(x, x), x)), {.create_graph = true});
  const Tensor g = x.grad();
  CHECK(g.requires_grad());
  x.clear_grad();
  backward(total(g));
  const Tensor twice = plus(x, x);
  CHECK(max_difference(x.grad(), plus(plus(twice, twice), twice)) < 1e-14);
}

TEST_CASE("a once-differentiable op says so") {
  const Tensor x = leaf({1}, 1);
  Tensor y = x.detach().clone();
  record<OnceNode>("once", y, x);
  backward(y, {.retain_graph = true});
  CHECK(error_of([&] { backward(y, {.create_graph = true}); }) ==
        "once: has no second derivative; use it without create_graph");
}

TEST_CASE("two threads each walk a graph of their own") {
  const Tensor shared = leaf({50}, 9, DType::f64);
  const Tensor expected = [&] {
    Tensor y = shared.detach();
    const Tensor x = y.set_requires_grad(true);
    return grad({total(tanh_of(times(tanh_of(x), x)))}, {x})[0];
  }();
  bool right[2] = {true, true};
  const auto work = [&](bool& good) {
    for (int i = 0; i < 50; ++i) {
      Tensor x = shared.detach();
      x.set_requires_grad(true);
      backward(total(tanh_of(times(tanh_of(x), x))));
      good = good && same_bits(x.grad(), expected);
    }
  };
  std::thread other(work, std::ref(right[0]));
  work(right[1]);
  other.join();
  CHECK(right[0]);
  CHECK(right[1]);
}

TEST_CASE("a chain of 1,000,000 nodes") {
  const int64_t start = memory::stats(Device::cpu()).live;
  {
    struct PassNode : Node {
      Tensors backward(const Tensors& dy) override { return {dy[0]}; }
    };
    const Tensor x = leaf({1}, 3);
    const auto build = [&] {
      Tensor y = x;
      for (int i = 0; i < 1'000'000; ++i) {
        Tensor next = y.detach();
        record<PassNode>("pass", next, y);
        y = next;
      }
      return y;
    };
    const Tensor y = build();
    backward(y);
    CHECK(x.grad().item<float>() == 1);
    build();  // destroyed without a backward
  }
  CHECK(memory::stats(Device::cpu()).live == start);
}

TEST_CASE("a hook gives a gradient that fits, or an error") {
  const Tensor x = leaf({4}, 1), y = plus(x, x);
  y.on_grad([](const Tensor&) { return pattern({2, 4}, 1); });
  CHECK(error_of([&] { backward(total(y)); }) ==
        "plus: a hook returned a gradient f32 (2, 4) on cpu; it must be f32 (4,) on cpu");
  CHECK(error_of([&] { y.on_grad({}); }) == "on_grad: the hook is empty");
}

TEST_CASE("a recorded backward gives every leaf bytes of its own") {
  const Tensor a = leaf({3}, 1), b = leaf({3}, 2), dy = pattern({3}, 3);
  backward(plus(a, b), {.dy = dy, .create_graph = true});
  CHECK(same_bits(a.grad(), dy));
  CHECK(a.grad().body().storage.get() != b.grad().body().storage.get());
  CHECK(a.grad().body().storage.get() != dy.body().storage.get());
}
