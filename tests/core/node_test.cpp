#include <doctest/doctest.h>
#include <tenet/core/autograd.h>
#include <tenet/core/graph.h>

#include "core/small_ops.h"

using namespace tenet;
using namespace tenet::test;

namespace {

/// A node whose backward gives what it is told.
struct ToldNode : Node {
  Tensors result;
  Tensors backward(const Tensors&) override { return result; }
};

Tensor told(const Tensor& x, Tensors result) {
  Tensor y = x.detach().clone();
  record<ToldNode>("told", y, x)->result = std::move(result);
  return y;
}

/// y1 = x, y2 = 2 x; counts the undefined gradients that come.
struct TwoOutputs : Node {
  int undefined = 0;
  Tensors backward(const Tensors& dy) override {
    Tensor sum;
    for (size_t i = 0; i < 2; ++i) {
      undefined += !dy[i].defined();
      if (!dy[i].defined()) continue;
      const Tensor part = i == 0 ? dy[0] : plus(dy[1], dy[1]);
      sum = sum.defined() ? plus(sum, part) : part;
    }
    return {sum};
  }
};

}  // namespace

TEST_CASE("outputs that got no gradient come undefined, and undefined results mean zero") {
  const Tensor x = leaf({3}, 1);
  Tensors ys{x.detach().clone(), plus(x.detach(), x.detach())};
  auto* node = record<TwoOutputs>("two", ys, {x});
  const Tensor c = pattern({3}, 2);
  backward(weighted(ys[1], c), {.retain_graph = true});
  CHECK(node->undefined == 1);
  CHECK(same_bits(x.grad(), plus(c, c)));
  x.clear_grad();
  backward(plus(weighted(ys[0], c), weighted(ys[1], c)));
  CHECK(node->undefined == 1);
  CHECK(same_bits(x.grad(), plus(c, plus(c, c))));

  const Tensor z = leaf({3}, 1);
  backward(plus(weighted(told(z, {Tensor()}), c), weighted(z, c)));
  CHECK(same_bits(z.grad(), c));
}

TEST_CASE("what a backward returns is checked and un-broadcast under the op's name") {
  const Tensor x = leaf({2, 3}, 1);
  const Tensor dy = pattern({2, 3}, 1);
  const auto error = [&](Tensors result) {
    return error_of([&] { backward(told(x, result), {.dy = dy}); });
  };
  CHECK(error({}) == "told: backward returned 0 gradients for 1 inputs");
  CHECK(error({dy, dy}) == "told: backward returned 2 gradients for 1 inputs");
  CHECK(error({pattern({4}, 1)}) ==
        "told: backward returned a gradient of shape (4,) for input 0 of shape (2, 3)");
  CHECK(error({pattern({3}, 1)}) ==
        "told: backward returned a gradient of shape (3,) for input 0 of shape (2, 3)");
  CHECK(error({pattern({2, 3}, 1, DType::f64)}) ==
        "told: backward returned a gradient of type f64 for input 0, which needs f32");
  CHECK_FALSE(x.grad().defined());
}

TEST_CASE("a saved tensor changed in place is an error with both versions") {
  const Tensor x = leaf({2, 3}, 1), w = leaf({2, 3}, 2);
  const Tensor y = total(times(x, w));
  w.mutable_data<float>()[0] = 5;
  const std::string text =
      "times: saved b of shape (2, 3) was changed in place after it was saved (version 1, saved "
      "at 0); change a clone() instead";
  CHECK(error_of([&] { backward(y); }) == text);
  CHECK(error_of([&] { graph::saved(*graph::node(y)->edges()[0].node); }) == text);
  const Tensor z = tanh_of(x);
  z.mutable_data<float>();
  CHECK(error_of([&] { backward(total(z)); }) ==
        "tanh: saved y of shape (2, 3) was changed in place after it was saved (version 1, saved "
        "at 0); change a clone() instead");
}

TEST_CASE("a gradient that a node still saves is not overwritten") {
  const Tensor x = leaf({3}, 1), c = pattern({3}, 2);
  const Tensor y = told(x, {c});
  backward(plus(weighted(y, c), weighted(y, c)), {.retain_graph = true});
  CHECK(same_bits(c, pattern({3}, 2)));
  CHECK(same_bits(x.grad(), c));
  backward(total(x));
  CHECK(same_bits(c, pattern({3}, 2)));
}

TEST_CASE("the graph can be looked at") {
  const Tensor x = leaf({3}, 1);
  const Tensor y = times(x, x);
  const std::shared_ptr<Node> node = graph::node(y);
  CHECK(node->name() == "times");
  CHECK(graph::label(*node) == "times #" + std::to_string(node->sequence()));
  CHECK(graph::node(x.detach()) == nullptr);
  CHECK(graph::node(x)->name() == "leaf");
  const auto saved = graph::saved(*node);
  REQUIRE(saved.size() == 2);
  CHECK(saved[0].first == "a");
  CHECK(same_bits(saved[1].second, x));
  Tensor taken = plus(x, x);
  CHECK(error_of([&] { record<ToldNode>("again", taken, x); }) ==
        "again: an op's output must be a new tensor outside the graph");
}
