#include <doctest/doctest.h>
#include <tenet/core/autograd.h>
#include <tenet/core/graph.h>

#include "core/couplings.h"
#include "core/numbers.h"

using namespace tenet;
using namespace tenet::test;

namespace {

/// The picture without its first lines, which set fonts and colours.
std::string body_of(const std::string& dot) {
  const size_t preamble = dot.find("fontsize=10];\n");
  REQUIRE(preamble != std::string::npos);
  return renumbered(dot.substr(preamble + 14));
}

bool has(const std::string& text, const std::string& piece) {
  return text.find(piece) != std::string::npos;
}

}  // namespace

TEST_CASE("the whole picture of a small graph") {
  const Tensor x = leaf({2, 3}, 1), w = leaf({3, 4}, 2);
  const Tensor y = total(tanh_of(product(x, w)));
  CHECK(renumbered(graph::dot(y, {.names = {{"x", x}, {"\"w\" <1 & 2>", w}}})) ==
        R"(digraph tenet {
  node [shape=box, style="rounded,filled", fillcolor="#f4f5f6", color="#9aa2ab", fontname="Helvetica", fontsize=12];
  edge [color="#616975", fontname="Helvetica", fontsize=10];
  n1 [label=<<b>x</b><br/>f32 (2, 3)>, fillcolor="#dcebfa"];
  n2 [label=<<b>&quot;w&quot; &lt;1 &amp; 2&gt;</b><br/>f32 (3, 4)>, fillcolor="#dcebfa"];
  n3 [label=<<b>product</b> #3<br/>f32 (2, 4)<br/><font point-size="10" color="#616975">saves a: f32 (2, 3), 24 B</font><br/><font point-size="10" color="#616975">saves b: f32 (3, 4), 48 B</font>>];
  n4 [label=<<b>tanh</b> #4<br/>f32 (2, 4)<br/><font point-size="10" color="#616975">saves y: f32 (2, 4), 32 B</font>>];
  n5 [label=<<b>total</b> #5<br/>f32 ()>, penwidth=2, color="#22262b"];
  n1 -> n3;
  n2 -> n3;
  n3 -> n4;
  n4 -> n5;
  label=<3 ops, 2 leaves; saved and there: 104 B; freed, to be rebuilt: 0 B>;
  fontname="Helvetica";
  fontsize=11;
}
)");
}

TEST_CASE("after backward the saved bytes are gone") {
  const Tensor x = leaf({2, 3}, 1);
  const Tensor h = times(x, x), y = total(h);
  CHECK(has(graph::dot(y),
            "<br/><font point-size=\"10\" color=\"#616975\">saves a: f32 (2, 3), "
            "24 B</font><br/><font"));
  backward(y);
  CHECK(body_of(graph::dot(h)) ==
        R"(  n1 [label=<<b>leaf</b> #1<br/>f32 (2, 3)>, fillcolor="#dcebfa"];
  n2 [label=<<b>times</b> #2<br/>f32 (2, 3)<br/><font point-size="10" color="#616975">what it saved was freed by backward</font>>, penwidth=2, color="#22262b"];
  n1 -> n2;
  n1 -> n2;
  label=<1 op, 1 leaf; saved and there: 0 B; freed, to be rebuilt: 0 B>;
  fontname="Helvetica";
  fontsize=11;
}
)");
}

TEST_CASE("reversible nodes: what is freed, by whom, and what they captured") {
  const Couplings fs = make_couplings(2, 8);
  Tensors y = run_chain(Mode::moved, fs, streams_of(leaf({4, 8}, 5)));
  const Tensor only = from_fixed(y[1]);
  CHECK(body_of(graph::dot(only, {.names = {{"w1", fs[0]->w1}, {"w2", fs[0]->w2}}})) ==
        R"(  n1 [label=<<b>w1</b><br/>f32 (8, 8)>, fillcolor="#dcebfa"];
  n2 [label=<<b>w2</b><br/>f32 (8, 8)>, fillcolor="#dcebfa"];
  n3 [label=<<b>leaf</b> #3<br/>f32 (8, 8)>, fillcolor="#dcebfa"];
  n4 [label=<<b>leaf</b> #4<br/>f32 (8, 8)>, fillcolor="#dcebfa"];
  n5 [label=<<b>leaf</b> #5<br/>f32 (4, 8)>, fillcolor="#dcebfa"];
  n6 [label=<<b>to_fixed</b> #6<br/>fixed32 (4, 8)>];
  n7 [label=<<b>tanh</b> #7<br/>f32 (4, 8)<br/><font point-size="10" color="#616975">saves y: f32 (4, 8), 128 B</font>>];
  n8 [label=<<b>to_fixed</b> #8<br/>fixed32 (4, 8)>];
  n9 [label=<<b>coupling</b> #9<br/>fixed32 (4, 8)<br/>fixed32 (4, 8)<br/><font point-size="10" color="#616975">saves 2 x captured: f32 (8, 8), 256 B each</font><br/><font point-size="10" color="#1d7a33">saves 2 x y: fixed32 (4, 8), 128 B each, freed by coupling #10</font>>, fillcolor="#d9f2dd"];
  n10 [label=<<b>coupling</b> #10<br/>fixed32 (4, 8)<br/>fixed32 (4, 8)<br/><font point-size="10" color="#616975">saves 2 x captured: f32 (8, 8), 256 B each</font><br/><font point-size="10" color="#616975">saves 2 x y: fixed32 (4, 8), 128 B each</font>>, fillcolor="#d9f2dd"];
  n11 [label=<<b>from_fixed</b> #11<br/>f32 (4, 8)>, penwidth=2, color="#22262b"];
  n5 -> n6;
  n5 -> n7;
  n7 -> n8;
  n6 -> n9;
  n8 -> n9;
  n1 -> n9 [style=dashed];
  n2 -> n9 [style=dashed];
  n10 -> n9 [style=dotted, color="#1d7a33", fontcolor="#1d7a33", label="freed, will rebuild", constraint=false];
  n9 -> n10 [label="output 0"];
  n9 -> n10 [label="output 1"];
  n3 -> n10 [style=dashed];
  n4 -> n10 [style=dashed];
  n10 -> n11 [label="output 1"];
  label=<6 ops, 5 leaves; saved and there: 1,408 B; freed, to be rebuilt: 256 B>;
  fontname="Helvetica";
  fontsize=11;
}
)");
}

TEST_CASE("bytes that somebody still holds, and a rebuilder that the picture lacks") {
  const Couplings fs = make_couplings(2, 8);
  Tensors x = streams_of(leaf({4, 8}, 5));
  const Tensors middle = apply(Mode::moved, fs[0], x);
  Tensors moved = middle;
  const Tensors y = apply(Mode::moved, fs[1], moved);
  CHECK(has(renumbered(graph::dot(middle[0])), "128 B each, coupling may free it"));
  CHECK(has(renumbered(graph::dot(y[0])), "128 B each, coupling #10 may free it"));
}

TEST_CASE("leaves as lines") {
  const Tensor x = leaf({2, 3}, 1), w = leaf({3, 4}, 2);
  const Tensor y = tanh_of(product(x, w));
  CHECK(
      body_of(graph::dot(y, {.leaves = false})) ==
      R"(  n1 [label=<<b>product</b> #1<br/>f32 (2, 4)<br/><font point-size="10" color="#2a5d91">reads 2 leaves, 18 elements</font><br/><font point-size="10" color="#616975">saves a: f32 (2, 3), 24 B</font><br/><font point-size="10" color="#616975">saves b: f32 (3, 4), 48 B</font>>];
  n2 [label=<<b>tanh</b> #2<br/>f32 (2, 4)<br/><font point-size="10" color="#616975">saves y: f32 (2, 4), 32 B</font>>, penwidth=2, color="#22262b"];
  n1 -> n2;
  label=<2 ops, 2 leaves; saved and there: 104 B; freed, to be rebuilt: 0 B>;
  fontname="Helvetica";
  fontsize=11;
}
)");
  const Tensor one = plus(w, w);
  CHECK(
      has(graph::dot(one, {.names = {{"w", w}}, .leaves = false}), ">reads leaf w, 12 elements<"));
  CHECK(has(graph::dot(one, {.leaves = false}), ">reads leaf, 12 elements<"));
  CHECK(has(graph::dot(w, {.names = {{"w", w}}, .leaves = false}), "<b>w</b>"));
}

TEST_CASE("a graph too large to draw") {
  const Tensor x = leaf({3}, 1);
  Tensor y = x;
  for (int i = 0; i < 1000; ++i) y = plus(y, y);
  CHECK(body_of(graph::dot(y, {.max_nodes = 2})) ==
        R"(  n1 [label=<<b>plus</b> #1<br/>f32 (3,)>];
  n2 [label=<<b>plus</b> #2<br/>f32 (3,)>, penwidth=2, color="#22262b"];
  rest -> n1;
  rest -> n1;
  n1 -> n2;
  n1 -> n2;
  rest [label="999 nodes not drawn", shape=plaintext, style=""];
  label=<1,000 ops, 1 leaf; saved and there: 0 B; freed, to be rebuilt: 0 B>;
  fontname="Helvetica";
  fontsize=11;
}
)");
  CHECK(graph::nodes(y).size() == 1001);
  CHECK(graph::nodes(y).front() == graph::node(y));
  CHECK(graph::nodes(y).back() == graph::node(x));
  CHECK(graph::nodes(pattern({3}, 1)).empty());
}

TEST_CASE("what cannot be drawn") {
  CHECK(error_of([] {
          graph::dot(pattern({2, 3}, 1));
        }) == "dot: the tensor of shape (2, 3) has no graph; no input needs a gradient");
  CHECK(error_of([] { graph::dot(leaf({2}, 1), {.max_nodes = 0}); }) ==
        "dot: max_nodes is 0; at least 1 is needed");
}
