#include <doctest/doctest.h>
#include <tenet/core/autograd.h>
#include <tenet/core/checkpoint.h>
#include <tenet/core/function.h>
#include <tenet/core/generator.h>
#include <tenet/core/replay.h>

#include "core/small_ops.h"

using namespace tenet;
using namespace tenet::test;

namespace {

/// Two layers of tanh(x w) with dropout between, which counts its runs.
struct Block {
  Tensor w1 = leaf({8, 8}, 1), w2 = leaf({8, 8}, 2);
  Generator generator{7};
  int runs = 0, first_runs = 0;

  Tensor operator()(const Tensor& x) {
    ++runs;
    if (!replaying()) ++first_runs;
    const PhiloxKey key = generator.take(32);
    std::vector<float> mask;
    for (uint64_t i = 0; i < 32; ++i) mask.push_back(philox_uniform(key, i) < 0.5f ? 0.0f : 2.0f);
    const Tensor h = times(tanh_of(product(x, w1)), from_vector(mask, {4, 8}));
    return tanh_of(product(h, w2));
  }
};

Tensor checked(bool use, Block& block, const Tensor& x) {
  if (!use) return block(x);
  return checkpoint(
      std::function<Tensor(const Tensor&)>([&](const Tensor& in) { return block(in); }), x);
}

}  // namespace

TEST_CASE("a checkpoint gives the bits of the plain function and runs it exactly once more") {
  Tensors results[2];
  for (const bool use : {false, true}) {
    Block block;
    const Tensor x = leaf({4, 8}, 5);
    const Tensor y = checked(use, block, x);
    const uint64_t offset = block.generator.offset();
    CHECK(block.runs == 1);
    backward(weighted(y, pattern({4, 8}, 9)));
    CHECK(block.runs == (use ? 2 : 1));
    CHECK(block.first_runs == 1);
    CHECK(block.generator.offset() == offset);
    results[use] = {y, x.grad(), block.w1.grad(), block.w2.grad()};
  }
  CHECK(same_bits(results[0], results[1]));
}

TEST_CASE("only inputs and captured tensors are kept") {
  Block block;
  const Tensor x = leaf({4, 8}, 5);
  const int64_t start = working_bytes();
  const Tensor y = checked(true, block, x);
  CHECK(working_bytes() == start + 4 * 8 * 4);
}

TEST_CASE("a retained checkpoint runs once per backward; a freed one says so") {
  Block block;
  const Tensor x = leaf({4, 8}, 5);
  const Tensor y = total(checked(true, block, x));
  backward(y, {.retain_graph = true});
  const Tensor once = x.grad();
  backward(y);
  CHECK(block.runs == 3);
  CHECK(same_bits(x.grad(), plus(once, once)));
  CHECK(error_of([&] { backward(y); }).find("saved was freed by an earlier backward") !=
        std::string::npos);
}

TEST_CASE("checkpoints nest") {
  Tensors results[2];
  for (const bool use : {false, true}) {
    Block outer, inner;
    const Tensor x = leaf({4, 8}, 5);
    const auto f = [&](const Tensor& in) {
      return plus(outer(in), checked(use, inner, outer(in)));
    };
    const Tensor y = use ? checkpoint(std::function<Tensor(const Tensor&)>(f), x) : f(x);
    backward(weighted(y, pattern({4, 8}, 9)));
    CHECK(inner.runs == (use ? 3 : 1));
    results[use] = {y, x.grad(), inner.w1.grad(), inner.w2.grad()};
  }
  CHECK(same_bits(results[0], results[1]));
}

TEST_CASE("second derivatives go through a checkpoint") {
  Tensors results[2];
  for (const bool use : {false, true}) {
    const Tensor x = leaf({2, 3}, 5, DType::f64), w = leaf({3, 3}, 6, DType::f64);
    const auto f = [&](const Tensors& in) {
      return Tensors{tanh_of(product(in[0], w)), times(in[0], in[1])};
    };
    const Tensors y = use ? checkpoint(f, {x, x}) : f({x, x});
    const Tensor c = pattern({2, 3}, 9, DType::f64);
    const Tensors g =
        grad({weighted(y[0], c), total(times(y[1], y[0]))}, {x, w}, {.create_graph = true});
    backward(plus(total(times(g[0], g[0])), total(times(g[1], g[1]))));
    results[use] = {g[0].detach(), g[1].detach(), x.grad(), w.grad()};
  }
  for (size_t i = 0; i < 4; ++i) CHECK(max_difference(results[0][i], results[1][i]) < 1e-12);
}

TEST_CASE("several outputs, some without a gradient, and inputs that need none") {
  Tensors results[2];
  for (const bool use : {false, true}) {
    const Tensor x = leaf({2, 3}, 5), mask = pattern({2, 3}, 6);
    const auto f = [&](const Tensors& in) {
      return Tensors{times(in[0], in[1]), tanh_of(in[0]), in[0]};
    };
    const Tensors y = use ? checkpoint(f, {x, mask}) : f({x, mask});
    backward(plus(total(y[0]), weighted(y[2], mask)));
    results[use] = {y[0], y[1], x.grad()};
    CHECK_FALSE(mask.requires_grad());
  }
  CHECK(same_bits(results[0], results[1]));
}

TEST_CASE("hooks of captured tensors fire once, and a tensor handed through gets its gradient") {
  const Tensor x = leaf({2, 3}, 5), w = leaf({2, 3}, 6), c = pattern({2, 3}, 7);
  int calls = 0;
  w.on_grad([&](const Tensor&) {
    ++calls;
    return Tensor();
  });
  const Tensors y = checkpoint([&](const Tensors& in) { return Tensors{times(in[0], w), w}; }, {x});
  backward(plus(weighted(y[0], c), weighted(y[1], c)));
  CHECK(calls == 1);
  CHECK(same_bits(w.grad(), plus(times(x, c), c)));
}

TEST_CASE("what a checkpoint reads may not change before its backward") {
  const Tensor x = leaf({2, 3}, 5), w = leaf({2, 3}, 6);
  const auto f =
      std::function<Tensor(const Tensor&)>([&](const Tensor& in) { return times(in, w); });
  const Tensor y = total(checkpoint(f, x));
  w.mutable_data<float>()[0] = 1;
  CHECK(error_of([&] { backward(y); }) ==
        "checkpoint: saved captured of shape (2, 3) was changed in place after it was saved "
        "(version 1, saved at 0); change a clone() instead");
  const Tensor z = total(checkpoint(f, x));
  x.mutable_data<float>()[0] = 1;
  CHECK(error_of([&] { backward(z); }) ==
        "checkpoint: saved x of shape (2, 3) was changed in place after it was saved (version 1, "
        "saved at 0); change a clone() instead");
}

TEST_CASE("autocast of the forward holds in the second run") {
  const Tensor x = leaf({2}, 5);
  std::vector<std::optional<DType>> seen;
  Tensor y;
  {
    const Autocast scope(DType::bf16);
    const auto f = [&](const Tensor& in) {
      seen.push_back(autocast_dtype());
      return times(in, in);
    };
    y = checkpoint(std::function<Tensor(const Tensor&)>(f), x);
  }
  backward(total(y));
  REQUIRE(seen.size() == 2);
  CHECK(seen[0] == DType::bf16);
  CHECK(seen[1] == DType::bf16);
}

TEST_CASE("without grad mode a checkpoint is a call") {
  const NoGrad scope;
  Block block;
  const Tensor y = checked(true, block, leaf({4, 8}, 5));
  CHECK_FALSE(y.requires_grad());
  CHECK(block.runs == 1);
}

TEST_CASE("a function that switches the graph on keeps its captured tensors") {
  const Tensor x = leaf({4}, 1), w = leaf({4}, 2);
  const std::function<Tensor(const Tensor&)> f = [&](const Tensor& in) {
    const EnableGrad scope;
    return times(in, w);
  };
  backward(total(checkpoint(f, x)));
  CHECK(same_bits(w.grad(), x.detach()));
  CHECK(same_bits(x.grad(), w.detach()));
}

TEST_CASE("a result that can have no gradient is outside the graph") {
  const Tensor x = leaf({4}, 1);
  const auto f = [](const Tensors& in) {
    return Tensors{times(in[0], in[0]), from_vector<int64_t>({1, 2}, {2})};
  };
  const Tensors y = checkpoint(f, {x});
  CHECK(y[0].requires_grad());
  CHECK_FALSE(y[1].requires_grad());
  backward(total(y[0]));
  CHECK(same_bits(x.grad(), plus(x.detach(), x.detach())));
  const auto index = [](const Tensors&) { return Tensors{from_vector<int64_t>({1}, {1})}; };
  CHECK_FALSE(checkpoint(index, {x})[0].requires_grad());
}

TEST_CASE("no walk runs under autocast, whoever starts it") {
  static int walks = 0;
  struct Seen : tenet::Function<Seen> {
    static Tensor forward(Context&, const Tensor& in) { return in.clone(); }
    static Tensors backward(Context&, Tensors dy) {
      CHECK_FALSE(autocast_dtype());
      ++walks;
      return dy;
    }
  };
  const std::function<Tensor(const Tensor&)> f = [](const Tensor& in) { return Seen::apply(in); };
  const Tensor x = leaf({2}, 5);
  const Autocast scope(DType::bf16);
  backward(total(f(x)));
  backward(total(checkpoint(f, x)));
  CHECK(walks == 2);
  CHECK(autocast_dtype() == DType::bf16);
}
