#include <doctest/doctest.h>
#include <tenet/core/autograd.h>
#include <tenet/core/explain.h>
#include <tenet/core/memory.h>

#include "core/couplings.h"
#include "core/numbers.h"

using namespace tenet;
using namespace tenet::test;

namespace {

std::string explained(const Tensor& tensor, const graph::Names& names = {}) {
  return renumbered(explain(tensor, names));
}

const std::string outside =
    " It is outside the graph: made from numbers, detached, or computed while no input needed a "
    "gradient or grad mode was off.";

}  // namespace

TEST_CASE("tensors outside the graph") {
  CHECK(explained({}) == "An undefined tensor: default-constructed or moved from.");
  CHECK(explained(pattern({20, 30}, 1)) ==
        "A tensor of shape (20, 30), f32, on cpu; 2,400 bytes." + outside);
  CHECK(explained(transposed(pattern({2, 3}, 1))) ==
        "A tensor of shape (3, 2), f32, on cpu, with strides (1, 3); a view of storage of 24 "
        "bytes." +
            outside);
}

TEST_CASE("leaves, before and after backward") {
  const Tensor x = leaf({2, 3}, 1);
  CHECK(explained(x) ==
        "A tensor of shape (2, 3), f32, on cpu; 24 bytes. It is a leaf: backward() adds its "
        "gradient up in grad(), which is still undefined.");
  backward(total(x));
  CHECK(explained(x, {{"layers.0.weight", x}}) ==
        "A tensor of shape (2, 3), f32, on cpu; 24 bytes. It is a leaf called layers.0.weight: "
        "backward() adds its gradient up in grad(), which holds one.");
}

TEST_CASE("results of ops") {
  const Tensor x = leaf({2, 3}, 1), w = leaf({3, 4}, 2);
  const Tensor h = product(x, w), y = plus(h, pattern({2, 4}, 3));
  CHECK(explained(h, {{"w", w}}) ==
        "A tensor of shape (2, 4), f32, on cpu; 32 bytes. It is the result of product #2, which "
        "read leaf #1 (2, 3) and leaf w (3, 4). product #2 holds a (2, 3), 24 bytes and b (3, 4), "
        "48 bytes. It needs a gradient: it depends through 1 op on 2 leaves with 18 elements: leaf "
        "#1 and leaf w. For the backward pass they hold 72 bytes.");
  CHECK(explained(y) ==
        "A tensor of shape (2, 4), f32, on cpu; 32 bytes. It is the result of plus #4, which read "
        "product #3 (2, 4) and a constant. plus #4 saved nothing. It needs a gradient: it depends "
        "through 2 ops on 2 leaves with 18 elements: leaf #1 and leaf #2. For the backward pass "
        "they hold 72 bytes.");
  backward(total(y));
  CHECK(explained(h) ==
        "A tensor of shape (2, 4), f32, on cpu; 32 bytes. It is the result of product #3, which "
        "read leaf #1 (2, 3) and leaf #2 (3, 4). What product #3 saved was freed by an earlier "
        "backward. It needs a gradient: it depends through 1 op on 2 leaves with 18 elements: leaf "
        "#1 and leaf #2.");
}

TEST_CASE("an op of many inputs") {
  Tensors many;
  for (int i = 0; i < 9; ++i) many.push_back(leaf({2}, i));
  struct Sum : Node {
    Tensors backward(const Tensors& dy) override { return Tensors(9, dy[0]); }
  };
  Tensors y{pattern({2}, 1)};
  record<Sum>("sum_of", y, many);
  CHECK(explained(y[0]) ==
        "A tensor of shape (2,), f32, on cpu; 8 bytes. It is the result of sum_of #6, which read "
        "leaf #1 (2,), leaf #2 (2,), leaf #3 (2,), leaf #4 (2,), leaf #5 (2,) and 4 more. sum_of "
        "#6 saved nothing. It needs a gradient: it depends through 1 op on 9 leaves with 18 "
        "elements: leaf #1, leaf #2, leaf #3, leaf #4, leaf #5 and 4 more.");
}

TEST_CASE("reversible nodes: who frees, what waits, what comes back") {
  const Couplings fs = make_couplings(2, 8);
  Tensors x = streams_of(leaf({4, 8}, 5));
  Tensor held = x[0];
  Tensors y = apply(Mode::moved, fs[0], x);
  CHECK(explained(held).starts_with(
      "A tensor of shape (4, 8), fixed32, on cpu; 128 bytes. coupling may free its bytes; so far "
      "this tensor holds them. It is the result of to_fixed #2, which read leaf #1 (4, 8)."));
  const Tensor view = transposed(held.detach());
  CHECK(explained(held).find("so far this tensor and 1 other hold them.") != std::string::npos);

  const Tensor middle = y[0].detach();  // keeps one of the two streams between the couplings
  const std::weak_ptr<Node> lower = graph::node(y[0]);
  y = apply(Mode::moved, fs[1], y);
  Tensor between = pattern({4, 8}, 1);  // what a handle to the released stream would be
  between.body().node = lower.lock();
  between.body().slot = 1;
  CHECK(explained(between) ==
        "A tensor of shape (4, 8), f32, on cpu; 128 bytes. It is output 1 of 2 of coupling #6, "
        "which read to_fixed #4 (4, 8), to_fixed #5 (4, 8), leaf #1 (8, 8) and leaf #2 (8, 8). "
        "coupling #6 holds captured (8, 8), 256 bytes, captured (8, 8), 256 bytes and y (4, 8), "
        "128 bytes. Its y (4, 8) is not there: coupling freed its 128 bytes and will rebuild them "
        "in the backward pass. It needs a gradient: it depends through 4 ops on 3 leaves with 160 "
        "elements: leaf #1, leaf #2 and leaf #3. For the backward pass they hold 768 bytes, and "
        "128 more are freed, to be rebuilt in it.");
  const std::string top = explained(y[1]);
  CHECK(top.find("It is output 1 of 2 of coupling #7, which read coupling #6 (4, 8), coupling #6 "
                 "(4, 8), leaf #3 (8, 8) and leaf #4 (8, 8).") != std::string::npos);
  CHECK(
      top.ends_with("For the backward pass they hold 1,536 bytes, and 128 more are freed, to be "
                    "rebuilt in it."));
  CHECK(memory::report().find("1 tensor(s) of 128 bytes are released until the backward pass\n") !=
        std::string::npos);
}
