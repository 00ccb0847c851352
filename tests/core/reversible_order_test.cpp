/// Orders of forward and backward that reversible nodes have to survive: each is compared with the
/// same functions as ordinary ops and as nodes whose inputs stay, to the bit where the streams are
/// fixed32.
#include <doctest/doctest.h>
#include <tenet/core/graph.h>
#include <tenet/core/memory.h>
#include <tenet/core/reversible.h>

#include <functional>

#include "core/couplings.h"

using namespace tenet;
using namespace tenet::test;

namespace {

/// A coupling that reads another tensor as well: y1 = x1 + tanh((x2 + memory) w1). It reads it
/// once, so that the sum of the memory's gradients has the same order with and without nodes.
struct MemoryCoupling : Coupling {
  MemoryCoupling(Tensor a, Tensor b, Tensor m) : Coupling(a, b), memory(std::move(m)) {}
  Tensor part(const Tensor& x, const Tensor& w) override {
    if (&w.body() != &w1.body()) return Coupling::part(x, w);
    const Tensor read = x.dtype() == DType::fixed32 ? from_fixed(x) : x;
    return tanh_of(product(plus(read, memory), w));
  }
  Tensor memory;
};

/// One run's ingredients. f32 means fixed32 streams.
struct Setting {
  Mode mode;
  DType dtype;
  Couplings fs = make_couplings(4, 8, dtype);
  Tensor x = leaf({4, 8}, 77, dtype);

  Tensor constant(int seed) const { return pattern({4, 8}, seed, dtype); }
  Tensors chain(Tensors streams, size_t begin = 0, size_t end = 4) const {
    return run_chain(
        mode, Couplings(fs.begin() + static_cast<long>(begin), fs.begin() + static_cast<long>(end)),
        std::move(streams));
  }
  Tensor loss(const Tensors& y, int seed = 99) const { return weighted(merged(y), constant(seed)); }
  Tensors grads() const {
    Tensors all = weights_of(fs);
    all.push_back(x);
    return take_grads(all);
  }
};

using Scenario = std::function<Tensors(Setting&)>;

void compare(const Scenario& scenario) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    const std::string name = to_string(dtype);
    CAPTURE(name);
    const int64_t start = working_bytes();
    {
      Setting plain{Mode::plain, dtype}, kept{Mode::kept, dtype}, moved{Mode::moved, dtype};
      const Tensors expected = scenario(plain), with_inputs = scenario(kept),
                    released = scenario(moved);
      REQUIRE(!expected.empty());
      CHECK(agree(with_inputs, expected, dtype));
      CHECK(agree(released, expected, dtype));
    }
    CHECK(working_bytes() == start);
  }
}

}  // namespace

TEST_CASE("two forwards before one backward, and each backward on its own") {
  compare([](Setting& s) {
    const Tensors a = s.chain(streams_of(s.x)), b = s.chain(streams_of(s.constant(4)));
    backward(plus(s.loss(a), s.loss(b, 98)));
    return s.grads();
  });
  compare([](Setting& s) {
    const Tensors a = s.chain(streams_of(s.x)), b = s.chain(streams_of(tanh_of(s.x)));
    backward(s.loss(a));
    backward(s.loss(b, 98));
    return s.grads();
  });
}

TEST_CASE("a block used twice") {
  compare([](Setting& s) {
    s.fs[2] = s.fs[1];
    backward(s.loss(s.chain(streams_of(s.x))));
    return s.grads();
  });
}

TEST_CASE("three accumulated batches") {
  compare([](Setting& s) {
    for (int batch = 0; batch < 3; ++batch) {
      backward(s.loss(s.chain(streams_of(times(s.x, s.constant(batch))))));
    }
    return s.grads();
  });
}

TEST_CASE("a retained graph is walked twice, with the same result") {
  compare([](Setting& s) {
    const Tensors y = s.chain(streams_of(s.x));
    const Tensor loss = s.loss(y);
    backward(loss, {.retain_graph = true});
    const Tensors first = s.grads();
    backward(loss);
    const Tensors second = s.grads();
    CHECK(same_bits(first, second));
    CHECK(error_of([&] { backward(loss); }).find("was freed by an earlier backward") !=
          std::string::npos);
    return second;
  });
}

TEST_CASE("an op that saves its output, and a view, before the first block") {
  compare([](Setting& s) {
    const Tensor h = s.dtype == DType::f32 ? to_fixed(tanh_of(s.x)) : tanh_of(s.x);
    Tensors streams{transposed(transposed(h)), h};
    streams[1] = s.dtype == DType::f32 ? to_fixed(s.x) : plus(s.x, s.x);
    backward(s.loss(s.chain(std::move(streams))));
    return s.grads();
  });
}

TEST_CASE("inputs that need no gradient") {
  compare([](Setting& s) {
    backward(s.loss(s.chain(streams_of(s.constant(3)))));
    Tensors grads = s.grads();
    CHECK_FALSE(grads.back().defined());
    return grads;
  });
  compare([](Setting& s) {
    Tensors streams{streams_of(s.constant(3))[0], streams_of(s.x)[1]};
    backward(s.loss(s.chain(std::move(streams))));
    return s.grads();
  });
}

TEST_CASE("only the input needs a gradient") {
  compare([](Setting& s) {
    for (const Tensor& w : weights_of(s.fs)) Tensor(w).set_requires_grad(false);
    backward(s.loss(s.chain(streams_of(s.x))));
    return Tensors{s.x.grad()};
  });
}

TEST_CASE("grad of one captured parameter leaves every leaf alone") {
  compare([](Setting& s) {
    const Tensor loss = s.loss(s.chain(streams_of(s.x)));
    Tensors found = grad({loss}, {s.fs[1]->w2}, {.retain_graph = true});
    const Tensors rest = grad({loss}, {s.fs[3]->w1, s.x});
    found.insert(found.end(), rest.begin(), rest.end());
    for (const Tensor& none : s.grads()) CHECK_FALSE(none.defined());
    return found;
  });
}

TEST_CASE("hooks of captured tensors and of outputs fire once") {
  compare([](Setting& s) {
    int calls = 0;
    s.fs[1]->w1.on_grad([&calls](const Tensor& dw) {
      ++calls;
      return plus(dw, dw);
    });
    const Tensor x2 = s.dtype == DType::f32 ? to_fixed(s.x) : plus(s.x, s.x);
    x2.on_grad([&calls](const Tensor&) {
      ++calls;
      return Tensor();
    });
    backward(s.loss(s.chain({x2, streams_of(s.x)[1]})));
    CHECK(calls == 2);
    return s.grads();
  });
}

TEST_CASE("memory captured by two blocks") {
  compare([](Setting& s) {
    const Tensor memory = tanh_of(s.x);
    for (const size_t i : {1u, 3u}) {
      s.fs[i] = std::make_shared<MemoryCoupling>(s.fs[i]->w1, s.fs[i]->w2, memory);
    }
    backward(s.loss(s.chain(streams_of(s.x))));
    Tensors grads = s.grads();
    s.fs.clear();
    return grads;
  });
}

TEST_CASE("memory that is itself a stream of the chain") {
  compare([](Setting& s) {
    Tensors y = s.chain(streams_of(s.x), 0, 1);
    const Tensor memory = s.dtype == DType::f32 ? from_fixed(y[0]) : y[0];
    s.fs[3] = std::make_shared<MemoryCoupling>(s.fs[3]->w1, s.fs[3]->w2, memory);
    backward(s.loss(s.chain(std::move(y), 1)));
    Tensors grads = s.grads();
    s.fs.clear();
    return grads;
  });
}

TEST_CASE("a loss on the middle of a chain whose end is gone") {
  for (const bool retain : {false, true}) {
    compare([retain](Setting& s) {
      Tensors y = s.chain(streams_of(s.x), 0, 2);
      const Tensor loss_input = merged(y);
      y = s.chain(std::move(y), 2);
      y.clear();
      const Tensor loss = weighted(loss_input, s.constant(9));
      const auto before = detail::reversible_counters();
      if (retain) {
        backward(loss, {.retain_graph = true});
        s.grads();
      }
      const int64_t live = working_bytes();
      backward(loss, {.retain_graph = retain});
      if (s.mode == Mode::moved) {
        CHECK(detail::reversible_counters().inverse_calls - before.inverse_calls ==
              (retain ? 8 : 4));
        CHECK((!retain || working_bytes() == live));
      }
      return s.grads();
    });
  }
}

TEST_CASE("the end of a chain is dropped while a sibling lives") {
  compare([](Setting& s) {
    Tensors y = s.chain(streams_of(s.x), 0, 2);
    const Tensors sibling =
        s.mode == Mode::plain ? s.fs[3]->forward(y) : reversible(s.fs[3], y[0], y[1]);
    s.chain(std::move(y), 2, 3);
    y.clear();
    backward(s.loss(sibling));
    return s.grads();
  });
  compare([](Setting& s) {
    Tensors y = s.chain(streams_of(s.x));
    y[0] = y[1];
    backward(s.loss(y));
    return s.grads();
  });
}

TEST_CASE("both the middle and the end of a chain have a loss") {
  compare([](Setting& s) {
    Tensors y = s.chain(streams_of(s.x), 0, 2);
    const Tensor middle = merged(y);
    y = s.chain(std::move(y), 2);
    const Tensor end = merged(y);
    const Tensors first = grad({middle}, {s.x}, {.dy = {s.constant(5)}, .retain_graph = true});
    backward(plus(weighted(middle, s.constant(9)), weighted(end, s.constant(10))));
    Tensors grads = s.grads();
    grads.push_back(first[0]);
    return grads;
  });
}

TEST_CASE("an exception inside an inverse, then destruction") {
  for (const bool retain : {false, true}) {
    const int64_t start = working_bytes();
    {
      Setting s{Mode::moved, DType::f32};
      s.fs[1]->throw_at_inverse = 1;
      const Tensor loss = s.loss(s.chain(streams_of(s.x)));
      CHECK(error_of([&] { backward(loss, {.retain_graph = retain}); }) ==
            "coupling: told to throw");
    }
    CHECK(working_bytes() == start);
  }
}

TEST_CASE("an exception inside an inverse, then a second backward of the retained graph") {
  for (const int block : {0, 1, 2, 3}) {
    compare([block](Setting& s) {
      const Tensor loss = s.loss(s.chain(streams_of(s.x)));
      if (s.mode != Mode::plain) {
        s.fs[static_cast<size_t>(block)]->throw_at_inverse = 1;
        CHECK(error_of([&] { backward(loss, {.retain_graph = true}); }) ==
              "coupling: told to throw");
        s.grads();
      }
      backward(loss, {.retain_graph = true});
      return s.grads();
    });
  }
}

TEST_CASE("an exception while bytes are brought back on demand lets go of what was rebuilt") {
  compare([](Setting& s) {
    Tensors y = s.chain(streams_of(s.x), 0, 1);
    const Tensor middle = merged(y);
    y = s.chain(std::move(y), 1);
    y.clear();
    const Tensor loss = weighted(middle, s.constant(9));
    if (s.mode == Mode::moved) {
      const int64_t live = working_bytes();
      s.fs[1]->throw_at_inverse = 1;
      CHECK(error_of([&] { backward(loss, {.retain_graph = true}); }) == "coupling: told to throw");
      CHECK(working_bytes() == live);
    }
    backward(loss);
    return s.grads();
  });
}

TEST_CASE("memory runs out at any allocation of a backward, then a second backward succeeds") {
  Setting reference{Mode::moved, DType::f32};
  backward(reference.loss(reference.chain(streams_of(reference.x))));
  const Tensors expected = reference.grads();
  Setting s{Mode::moved, DType::f32};
  const Tensor loss = s.loss(s.chain(streams_of(s.x)));
  bool failed = true;
  int64_t n = 0;
  while (failed) {
    failed = false;
    detail::fail_allocation_after(n);
    try {
      backward(loss, {.retain_graph = true});
    } catch (const OutOfMemory&) {
      failed = true;
    }
    detail::fail_allocation_after(-1);
    if (failed) s.grads();
    n += 7;
  }
  CHECK(n > 100);
  CHECK(same_bits(s.grads(), expected));
}
