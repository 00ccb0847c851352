/// What a second run of a reversible function must find again: random numbers, captured tensors,
/// enclosing functions.
#include <doctest/doctest.h>
#include <tenet/core/checkpoint.h>
#include <tenet/core/generator.h>
#include <tenet/core/graph.h>
#include <tenet/core/memory.h>
#include <tenet/core/reversible.h>

#include "core/couplings.h"

using namespace tenet;
using namespace tenet::test;

namespace {

/// x with about half of its elements set to 0, by numbers that a generator gives.
Tensor dropped(const Tensor& x, Generator& generator) {
  const PhiloxKey key = generator.take(static_cast<uint64_t>(x.numel()));
  std::vector<double> mask;
  for (int64_t i = 0; i < x.numel(); ++i) {
    mask.push_back(philox_uniform(key, static_cast<uint64_t>(i)) < 0.5f ? 0.0 : 2.0);
  }
  return times(x, from_vector(mask, x.shape(), {x.dtype()}));
}

/// y1 = x1 + dropped(tanh(x2 w1)), y2 = x2 + dropped(tanh(y1 w2)), each part in its section.
struct DropCoupling : Coupling {
  DropCoupling(Tensor a, Tensor b, Generator& g)
      : Coupling(std::move(a), std::move(b)), generator(g) {}
  Tensor part(const Tensor& x, const Tensor& w) override {
    const ReplaySection section(&w.body() == &w1.body() ? 0 : 1);
    if (!replaying()) ++first_runs;
    return dropped(Coupling::part(x, w), generator);
  }
  Generator& generator;
  int first_runs = 0;
};

/// The same without sections: inverse() takes the parts' numbers in the wrong order.
struct CarelessCoupling : DropCoupling {
  using DropCoupling::DropCoupling;
  Tensor part(const Tensor& x, const Tensor& w) override {
    return dropped(Coupling::part(x, w), generator);
  }
};

/// Two functions one after the other, as one.
struct Pair : ReversibleFunction {
  Pair(std::shared_ptr<ReversibleFunction> a, std::shared_ptr<ReversibleFunction> b, bool as_nodes)
      : first(std::move(a)), second(std::move(b)), nodes(as_nodes) {}
  Tensors forward(const Tensors& x) override {
    Tensors middle;
    {
      const ReplaySection section(0);
      middle = nodes ? reversible(first, x[0], x[1]) : first->forward(x);
    }
    const ReplaySection section(1);
    return nodes ? reversible(second, std::move(middle)) : second->forward(middle);
  }
  Tensors inverse(const Tensors& y) override {
    Tensors middle;
    {
      const ReplaySection section(1);
      middle = second->inverse(y);
    }
    const ReplaySection section(0);
    return first->inverse(middle);
  }
  bool exact() const override { return true; }
  std::shared_ptr<ReversibleFunction> first, second;
  bool nodes;
};

struct Setting {
  Generator generator{7};
  Couplings fs;
  Tensor x = leaf({4, 8}, 77);

  explicit Setting(int depth = 2) {
    for (int i = 0; i < depth; ++i) {
      fs.push_back(
          std::make_shared<DropCoupling>(leaf({8, 8}, 2 * i), leaf({8, 8}, 2 * i + 1), generator));
    }
  }
  Tensors grads() const {
    Tensors all = weights_of(fs);
    all.push_back(x);
    return take_grads(all);
  }
  Tensor loss(const Tensors& y) const { return weighted(merged(y), pattern({4, 8}, 99)); }
};

Tensors reference_gradients(uint64_t* offset = nullptr) {
  Setting s;
  backward(s.loss(run_chain(Mode::plain, s.fs, streams_of(s.x))));
  if (offset) *offset = s.generator.offset();
  return s.grads();
}

}  // namespace

TEST_CASE("the second run draws the same numbers and the generator does not move") {
  uint64_t plain_offset = 0;
  const Tensors expected = reference_gradients(&plain_offset);
  Setting s;
  const Tensors y = run_chain(Mode::moved, s.fs, streams_of(s.x));
  CHECK(s.generator.offset() == plain_offset);
  s.generator.set_offset(1000);
  backward(s.loss(y), {.retain_graph = true});
  CHECK(same_bits(s.grads(), expected));
  backward(s.loss(y));
  CHECK(same_bits(s.grads(), expected));
  CHECK(s.generator.offset() == 1000);
  CHECK(static_cast<const DropCoupling&>(*s.fs[0]).first_runs == 2);
  CHECK_FALSE(replaying());
}

TEST_CASE("brought back on demand, the same numbers are drawn") {
  Tensors results[2];
  for (const Mode mode : {Mode::plain, Mode::moved}) {
    Setting s(3);
    Tensors y = run_chain(mode, {s.fs[0]}, streams_of(s.x));
    const Tensor middle = merged(y);
    y = run_chain(mode, {s.fs[1], s.fs[2]}, std::move(y));
    y.clear();
    s.generator.set_offset(5);
    backward(weighted(middle, pattern({4, 8}, 9)));
    results[mode == Mode::moved] = s.grads();
  }
  CHECK(same_bits(results[0], results[1]));
}

TEST_CASE("parts without sections are caught by verification") {
  Generator generator(7);
  auto f = std::make_shared<CarelessCoupling>(leaf({8, 8}, 1), leaf({8, 8}, 2), generator);
  const Tensor x = leaf({4, 8}, 7);
  const Anomaly verify;
  Tensors y = streams_of(x);
  const std::shared_ptr<Node> before = graph::node(y[0]);
  y = reversible(f, std::move(y));
  y = reversible(f, std::move(y));
  const std::string error = error_of([&] { backward(weighted(merged(y), pattern({4, 8}, 9))); });
  CHECK(error ==
        "coupling: input 0 of shape (4, 8) was not rebuilt to the bit; forward and inverse must "
        "compute the same values from the same tensors");
}

TEST_CASE("more values than the first run gave are an error") {
  detail::ReplayRecord record;
  {
    const detail::ReplayScope scope(record, detail::ReplayScope::Mode::record);
    CHECK(replay([] { return 5; }) == 5);
    const ReplaySection part(3);
    CHECK(replay([] { return 6.5; }) == 6.5);
  }
  CHECK(record.bytes() == 12);
  const detail::ReplayScope scope(record, detail::ReplayScope::Mode::replay);
  CHECK(replaying());
  {
    const ReplaySection part(3);
    CHECK(replay([] { return 0.0; }) == 6.5);
  }
  CHECK(replay([] { return 0; }) == 5);
  CHECK(error_of([] { replay([] { return 0; }); }) ==
        "replay: the second run asks for more values than the first gave; forward() and "
        "inverse() must take the same steps, each part in its ReplaySection");
}

TEST_CASE("reversible functions inside a reversible function, as calls and as nodes") {
  const Tensors expected = reference_gradients();
  for (const bool nodes : {false, true}) {
    CAPTURE(nodes);
    Setting s;
    auto pair = std::make_shared<Pair>(s.fs[0], s.fs[1], nodes);
    const auto before = detail::reversible_counters().releases;
    Tensors x = streams_of(s.x);
    const Tensors y = reversible(pair, std::move(x));
    CHECK(detail::reversible_counters().releases - before == 2);
    backward(s.loss(y), {.retain_graph = true});
    CHECK(same_bits(s.grads(), expected));
    backward(s.loss(y));
    CHECK(same_bits(s.grads(), expected));
  }
}

TEST_CASE("reversible functions inside a checkpoint") {
  const Tensors expected = reference_gradients();
  Setting s;
  const Tensors y = checkpoint([&](const Tensors& x) { return run_chain(Mode::moved, s.fs, x); },
                               streams_of(s.x));
  backward(s.loss(y), {.retain_graph = true});
  CHECK(same_bits(s.grads(), expected));
  backward(s.loss(y));
  CHECK(same_bits(s.grads(), expected));
}

TEST_CASE("a checkpoint inside a reversible function") {
  struct Checkpointed : DropCoupling {
    using DropCoupling::DropCoupling;
    Tensor part(const Tensor& x, const Tensor& w) override {
      const ReplaySection section(&w.body() == &w1.body() ? 0 : 1);
      const auto f = [&](const Tensor& in) { return dropped(Coupling::part(in, w), generator); };
      return checkpoint(std::function<Tensor(const Tensor&)>(f), x);
    }
  };
  const Tensors expected = reference_gradients();
  Setting s;
  for (auto& f : s.fs) f = std::make_shared<Checkpointed>(f->w1, f->w2, s.generator);
  const Tensors y = run_chain(Mode::moved, s.fs, streams_of(s.x));
  backward(s.loss(y));
  CHECK(same_bits(s.grads(), expected));
}

TEST_CASE(
    "a captured parameter changed in place is an error, also where bytes come back on demand") {
  Setting s(3);
  Tensors y = run_chain(Mode::moved, s.fs, streams_of(s.x));
  s.fs[1]->w1.mutable_data<float>()[0] += 1;
  CHECK(error_of([&] { backward(s.loss(y)); }) ==
        "coupling: saved captured of shape (8, 8) was changed in place after it was saved "
        "(version 1, saved at 0); change a clone() instead");
  Setting t(3);
  y = run_chain(Mode::moved, {t.fs[0]}, streams_of(t.x));
  const Tensor middle = merged(y);
  y = run_chain(Mode::moved, {t.fs[1], t.fs[2]}, std::move(y));
  y.clear();
  t.fs[1]->w2.mutable_data<float>()[0] += 1;
  CHECK(error_of([&] {
          backward(weighted(middle, pattern({4, 8}, 9)));
        }) ==
        "coupling: a captured tensor of shape (8, 8) was changed in place after forward() read it "
        "(version 1, read at 0); run backward before changing it");
}

TEST_CASE("an output changed in place is an error, also where bytes come back on demand") {
  Setting s;
  Tensors y = run_chain(Mode::moved, s.fs, streams_of(s.x));
  y[1].mutable_data<int32_t>()[0] += 1;
  CHECK(error_of([&] { backward(s.loss(y)); }) ==
        "coupling: saved y of shape (4, 8) was changed in place after it was saved (version 1, "
        "saved at 0); change a clone() instead");
  Setting t;
  y = run_chain(Mode::moved, {t.fs[0]}, streams_of(t.x));
  const Tensor middle = merged(y);
  y = run_chain(Mode::moved, {t.fs[1]}, std::move(y));
  y[0].mutable_data<int32_t>()[0] += 1;
  CHECK(error_of([&] {
          backward(weighted(middle, pattern({4, 8}, 9)));
        }) == "coupling: an output of shape (4, 8) was changed in place; change a clone() instead");
}

TEST_CASE("one corrupted word is noticed in anomaly mode") {
  struct Corrupt : Coupling {
    using Coupling::Coupling;
    Tensors inverse(const Tensors& y) override {
      Tensors x = Coupling::inverse(y);
      x[1].mutable_data<int32_t>()[5] ^= 1;
      return x;
    }
  };
  const Anomaly verify;
  Couplings fs = make_couplings(2, 8);
  fs[1] = std::make_shared<Corrupt>(fs[1]->w1, fs[1]->w2);
  const Tensors y = run_chain(Mode::moved, fs, streams_of(leaf({4, 8}, 7)));
  CHECK(error_of([&] {
          backward(weighted(merged(y), pattern({4, 8}, 9)));
        }) ==
        "coupling: input 1 of shape (4, 8) was not rebuilt to the bit; forward and inverse must "
        "compute the same values from the same tensors");
}
