#include <doctest/doctest.h>
#include <tenet/core/graph.h>
#include <tenet/core/memory.h>
#include <tenet/core/reversible.h>

#include "core/couplings.h"

using namespace tenet;
using namespace tenet::test;

namespace {

detail::ReversibleCounters counters_since(const detail::ReversibleCounters& before) {
  const detail::ReversibleCounters& now = detail::reversible_counters();
  return {now.releases - before.releases, now.rebuilds - before.rebuilds,
          now.inverse_calls - before.inverse_calls};
}

Tensor constant(int seed, DType dtype = DType::f32) { return pattern({4, 8}, seed, dtype); }

/// Gradients of a weighted sum of a chain's outputs, with respect to x and all weights.
Tensors chain_gradients(Mode mode, const Couplings& fs, const Tensor& x) {
  const Tensors y = run_chain(mode, fs, streams_of(x));
  backward(weighted(merged(y), constant(99, x.dtype())));
  Tensors all = weights_of(fs);
  all.push_back(x);
  return take_grads(all);
}

template <class F, class T>
concept ReversibleOnBracedList = requires(F f, T x) {
  reversible(f, {x, x});
};
static_assert(!ReversibleOnBracedList<std::shared_ptr<ReversibleFunction>, Tensor>);

}  // namespace

TEST_CASE("a moved input's bytes are freed, an lvalue's stay") {
  const Couplings fs = make_couplings(1, 8);
  for (const Mode mode : {Mode::kept, Mode::moved}) {
    Tensors x = streams_of(leaf({4, 8}, 5));
    const int64_t with_inputs = working_bytes();
    const auto before = detail::reversible_counters();
    Tensors y = apply(mode, fs[0], x);
    const int64_t outputs = 2 * 4 * 8 * 4;
    const int64_t freed = mode == Mode::moved ? outputs : 0;
    CHECK(working_bytes() == with_inputs + outputs - freed);
    CHECK(counters_since(before).releases == (mode == Mode::moved ? 2 : 0));
    CHECK(x.empty() == (mode == Mode::moved));
  }
}

TEST_CASE("an argument is moved from only where it is an rvalue, and only on success") {
  const Couplings fs = make_couplings(1, 8);
  Tensors x = streams_of(leaf({4, 8}, 5));
  Tensor x1 = x[0], x2 = x[1];
  x.clear();
  fs[0]->throw_in_forward = true;
  const auto before = detail::reversible_counters();
  CHECK(error_of([&] { reversible(fs[0], std::move(x1), std::move(x2)); }) ==
        "coupling: told to throw");
  CHECK(x1.defined());
  CHECK(x2.defined());
  CHECK(counters_since(before).releases == 0);
  fs[0]->throw_in_forward = false;
  const Tensors y = reversible(fs[0], std::move(x1), x2);
  CHECK_FALSE(x1.defined());
  CHECK(x2.defined());
  CHECK(counters_since(before).releases == 1);
}

TEST_CASE("a kept view keeps the bytes until it goes") {
  const Couplings fs = make_couplings(1, 8);
  Tensors x = streams_of(leaf({4, 8}, 5));
  Tensor view = transposed(x[0].detach());
  const Tensor copy = view.clone();
  const auto before = detail::reversible_counters();
  const Tensors y = apply(Mode::moved, fs[0], x);
  CHECK(counters_since(before).releases == 1);
  CHECK(same_bits(view.clone(), copy));
  const std::string report = memory::report();
  CHECK(report.find(
            "coupling waits to release (4, 8): 1 tensor(s) and 0 saved by other nodes hold it\n") !=
        std::string::npos);
  view = Tensor();
  CHECK(counters_since(before).releases == 2);
  CHECK(memory::report().find("waits to release") == std::string::npos);
}

TEST_CASE("what an ordinary node saved stays until that node lets go") {
  const Couplings fs = make_couplings(1, 8, DType::f64);
  const Tensor a = leaf({4, 8}, 5, DType::f64);
  Tensors x{tanh_of(a), tanh_of(a)};  // each tanh saves its output
  const auto before = detail::reversible_counters();
  Tensors y = apply(Mode::moved, fs[0], x);
  CHECK(counters_since(before).releases == 0);
  CHECK(memory::report().find(
            "coupling waits to release (4, 8): 0 tensor(s) and 1 saved by other nodes "
            "hold it\n") != std::string::npos);
  backward(weighted(merged(y), constant(9, DType::f64)));
  const Tensor moved = a.grad();
  a.clear_grad();
  Tensors again{tanh_of(a), tanh_of(a)};
  backward(weighted(merged(fs[0]->forward(again)), constant(9, DType::f64)));
  CHECK(max_difference(moved, a.grad()) < 1e-12);
}

TEST_CASE("inputs that share bytes stay, and so does a part of a larger tensor") {
  const Couplings fs = make_couplings(2, 8, DType::f64);
  const Tensor a = leaf({4, 8}, 5, DType::f64);
  const auto before = detail::reversible_counters();
  Tensors gradients[2];
  for (const Mode mode : {Mode::plain, Mode::moved}) {
    Tensors x;
    {
      const Tensor embedding = plus(a, a);
      x = {embedding, embedding};
    }
    const Tensors y = run_chain(mode, fs, std::move(x));
    backward(weighted(merged(y), constant(9, DType::f64)));
    gradients[mode == Mode::moved] = take_grads({a, fs[0]->w1, fs[1]->w2});
  }
  CHECK(counters_since(before).releases == 2);  // the second block's inputs only
  CHECK(agree(gradients[0], gradients[1], DType::f64));

  Tensor large = plus(leaf({8, 8}, 6, DType::f64), pattern({8, 8}, 6, DType::f64));
  Tensors part{detail::view_of(large, {4, 8}, {8, 1}, 0), plus(a, a)};
  part[0].set_requires_grad(true);
  large = Tensor();
  const auto middle = detail::reversible_counters();
  const Tensors y = apply(Mode::moved, fs[0], part);
  CHECK(counters_since(middle).releases == 1);
}

TEST_CASE("external memory is never freed") {
  std::vector<float> memory(32, 0.5f);
  bool freed = false;
  const Couplings fs = make_couplings(1, 8);
  {
    Tensors x{from_external(memory.data(), {4, 8}, {}, [&] { freed = true; }), constant(3)};
    const auto before = detail::reversible_counters();
    const Tensors y = apply(Mode::moved, fs[0], x);
    CHECK(counters_since(before).releases == 1);
    CHECK(freed);  // nobody but the caller of from_external needs it any more
    CHECK(memory[31] == 0.5f);
  }
}

TEST_CASE("reading released bytes outside backward is an error that names shape, node and remedy") {
  const Couplings fs = make_couplings(2, 8);
  Tensors x = streams_of(leaf({4, 8}, 5));
  Tensors middle = apply(Mode::moved, fs[0], x);
  const std::shared_ptr<Node> node = graph::node(middle[0]);
  CHECK(graph::saved(*node).size() == 4);
  const Tensors y = apply(Mode::moved, fs[1], middle);
  CHECK(error_of([&] { graph::saved(*node); }) ==
        "coupling: saved y of shape (4, 8) was released by coupling and is rebuilt only inside "
        "backward; keep a copy of the tensor to read it later");
  CHECK(graph::saved(*graph::node(y[0])).size() == 4);
}

TEST_CASE("a chain's gradients equal those of ordinary ops and of kept activations") {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const int depth : {1, 2, 7}) {
      CAPTURE(depth);
      const Couplings fs = make_couplings(depth, 8, dtype);
      const Tensor x = leaf({4, 8}, 77, dtype);
      const Tensors plain = chain_gradients(Mode::plain, fs, x);
      const Tensors kept = chain_gradients(Mode::kept, fs, x);
      const auto before = detail::reversible_counters();
      const Tensors moved = chain_gradients(Mode::moved, fs, x);
      const auto used = counters_since(before);
      CHECK(used.inverse_calls == depth);
      CHECK(used.releases >= 2 * depth - 1);  // tanh saved the first block's second stream in f64
      CHECK(used.rebuilds == 2 * depth - 2);  // nobody needs the first block's inputs
      CHECK(agree(plain, kept, dtype));
      CHECK(agree(plain, moved, dtype));
    }
  }
}

TEST_CASE("the activation peak does not grow with depth") {
  int64_t peaks[2];
  for (const bool retain : {false, true}) {
    for (const int depth : {2, 50}) {
      const Couplings fs = make_couplings(depth, 16);
      const Tensor x = leaf({64, 16}, 7);
      const int64_t start = working_bytes();
      memory::reset_peak();
      const Tensors y = run_chain(Mode::moved, fs, streams_of(x));
      const Tensor loss = weighted(merged(y), pattern({64, 16}, 9));
      backward(loss, {.retain_graph = retain});
      peaks[depth == 50] = memory::stats(Device::cpu(), memory::Category::working).peak - start;
    }
    CAPTURE(retain);
    CHECK(peaks[1] - peaks[0] < 64 * 16 * 4);
  }
}

TEST_CASE(
    "a function without gradient or in NoGrad makes no node and frees nothing of the caller's") {
  const Couplings fs = make_couplings(1, 8);
  Tensor x1 = to_fixed(constant(1)), x2 = to_fixed(constant(2));
  {
    const NoGrad scope;
    const Tensors y = reversible(fs[0], x1, x2);
    CHECK_FALSE(y[0].requires_grad());
  }
  fs[0]->w1.set_requires_grad(false);
  fs[0]->w2.set_requires_grad(false);
  const auto before = detail::reversible_counters();
  const Tensors y = reversible(fs[0], std::move(x1), x2);
  CHECK_FALSE(y[0].requires_grad());
  CHECK_FALSE(x1.defined());
  CHECK(counters_since(before).releases == 0);
  CHECK(error_of([&] { reversible(nullptr, x2); }) == "reversible: the function is null");
}
