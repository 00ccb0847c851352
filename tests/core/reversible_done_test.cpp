/// done_with(): outputs whose bytes go before inverse_and_grad() returns.
#include <doctest/doctest.h>
#include <tenet/core/explain.h>
#include <tenet/core/grad_mode.h>
#include <tenet/core/graph.h>
#include <tenet/core/memory.h>

#include "core/couplings.h"

using namespace tenet;
using namespace tenet::test;

namespace {

/// Rebuilds its inputs, and says that it reads its outputs no more.
struct EarlyCoupling : Coupling {
  using Coupling::Coupling;

  InverseAndGrad inverse_and_grad(const Tensors& y, const Tensors& dy) override {
    InverseAndGrad result;
    {
      const NoGrad scope;
      result.x = inverse(y);
    }
    for (const Tensor& output : y) done_with(speaker ? *speaker : *this, output);
    if (std::exchange(throw_once, false)) throw Error("coupling: told to throw");
    const Tensors leaves{replay_leaf(result.x[0]), replay_leaf(result.x[1])};
    Tensors again;
    {
      const EnableGrad scope;
      again = forward(leaves);
    }
    ReplayGrad gradients = replay_grad(std::move(again), dy, leaves);
    result.dx = std::move(gradients.dx);
    result.dcaptured = std::move(gradients.dcaptured);
    return result;
  }

  ReversibleFunction* speaker = nullptr;  // who says so, if another function
  bool throw_once = false;
};

struct Chain {
  explicit Chain(bool early, DType dtype = DType::f32, int depth = 4, Shape shape = {4, 8}) {
    x = leaf(shape, 77, dtype);
    for (const auto& f : make_couplings(depth, shape[1], dtype)) {
      fs.push_back(early ? std::make_shared<EarlyCoupling>(f->w1, f->w2) : f);
    }
  }
  Tensors run(Mode mode = Mode::moved) const { return run_chain(mode, fs, streams_of(x)); }
  static Tensor loss(const Tensors& y) {
    const Tensor all = merged(y);
    return weighted(all, pattern(all.shape(), 5, all.dtype()));
  }
  Tensors gradients() const {
    Tensors grads = take_grads(weights_of(fs));
    grads.push_back(take_grads({x})[0]);
    return grads;
  }
  EarlyCoupling& early(size_t i) const { return static_cast<EarlyCoupling&>(*fs[i]); }

  Couplings fs;
  Tensor x;
};

}  // namespace

TEST_CASE("outputs that go early change no gradient") {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const Mode mode : {Mode::plain, Mode::kept, Mode::moved}) {
      const Chain late(false, dtype), early(true, dtype);
      backward(Chain::loss(late.run(Mode::moved)));
      backward(Chain::loss(early.run(mode)));
      CHECK(agree(early.gradients(), late.gradients(), dtype));
    }
  }
}

TEST_CASE("outputs that go early come back on a retained graph") {
  const Chain late(false), early(true);
  backward(Chain::loss(late.run()));
  const Tensors want = late.gradients();
  const Tensor loss = Chain::loss(early.run());
  const int64_t before = working_bytes();
  for (int i = 0; i < 3; ++i) {
    backward(loss, {.retain_graph = true});
    CHECK(agree(early.gradients(), want, DType::f32));
    CHECK(working_bytes() == before);
  }
  backward(loss);
  CHECK(agree(early.gradients(), want, DType::f32));
}

TEST_CASE("an output that somebody holds keeps its values") {
  for (size_t held = 0; held < 4; ++held) {
    for (const bool retain : {false, true}) {
      CAPTURE(held);
      const Chain late(false), early(true);
      backward(Chain::loss(late.run()));
      Tensors y = streams_of(early.x), kept;
      for (size_t i = 0; i < 4; ++i) {
        y = apply(Mode::moved, early.fs[i], y);
        if (i == held) kept = {y[0], from_fixed(y[1]), y[1].detach()};
      }
      std::vector<std::vector<double>> before;
      for (const Tensor& tensor : kept) before.push_back(tensor.to_vector<double>());
      const Tensor loss = Chain::loss(y);
      y.clear();
      if (retain) backward(loss, {.retain_graph = true});
      if (retain) (void)early.gradients();
      backward(loss);
      CHECK(agree(early.gradients(), late.gradients(), DType::f32));
      for (size_t i = 0; i < kept.size(); ++i) CHECK(kept[i].to_vector<double>() == before[i]);
    }
  }
}

TEST_CASE("a walk that ends at a late block leaves what an early one needs") {
  const Chain late(false), early(true);
  const auto both = [](const Chain& chain) {
    Tensors y = apply(Mode::moved, chain.fs[0], *std::make_unique<Tensors>(streams_of(chain.x)));
    const Tensor sibling = y[1];
    y = apply(Mode::moved, chain.fs[1], y);
    Tensor loss = Chain::loss(y);
    y.clear();
    Tensors result = grad({loss}, {chain.fs[1]->w2});
    backward(weighted(from_fixed(sibling), pattern(sibling.shape(), 6)));
    for (const Tensor& gradient : chain.gradients()) result.push_back(gradient);
    return result;
  };
  CHECK(agree(both(early), both(late), DType::f32));
}

TEST_CASE("a failure after outputs went: a retained graph is whole") {
  const Chain late(false), early(true);
  backward(Chain::loss(late.run()));
  const Tensors want = late.gradients();
  for (size_t i = 0; i < 4; ++i) {
    const Tensor loss = Chain::loss(early.run());
    early.early(i).throw_once = true;
    CHECK(error_of([&] { backward(loss, {.retain_graph = true}); }) == "coupling: told to throw");
    (void)early.gradients();
    backward(loss);
    CHECK(agree(early.gradients(), want, DType::f32));
  }
}

TEST_CASE("a failure after outputs went: the graph can be drawn and explained") {
  const Chain early(true);
  const Tensors y = early.run();
  const Tensor loss = Chain::loss(y);
  early.early(3).throw_once = true;
  CHECK(error_of([&] { backward(loss); }) == "coupling: told to throw");
  CHECK(graph::dot(loss).starts_with("digraph"));
  for (const Tensor& stream : y) CHECK(explain(stream).starts_with("A tensor of shape (4, 8)"));
}

TEST_CASE("only the function of the node says what it needs no more") {
  const Chain early(true, DType::f32, 1, {64, 32});
  const auto peak = [&] {
    const Tensor loss = Chain::loss(early.run());
    const int64_t before = working_bytes();
    memory::reset_peak();
    backward(loss);
    (void)early.gradients();
    return memory::stats(Device::cpu(), memory::Category::working).peak - before;
  };
  (void)peak();
  const int64_t own = peak();
  Coupling other(early.fs[0]->w1, early.fs[0]->w2);
  early.early(0).speaker = &other;
  const int64_t foreign = peak();
  MESSAGE("peak of a backward pass: " << own << " B, and " << foreign << " B with outputs held");
  CHECK(own < foreign);
  done_with(other, early.x);  // outside of any: nothing
  CHECK(early.x.to_vector<double>() == leaf({64, 32}, 77).to_vector<double>());
}
