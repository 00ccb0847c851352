/// The gradient of LSH attention in the place of its result.
#include <doctest/doctest.h>
#include <ops/op_case.h>
#include <tenet/core/autograd.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/attention/lsh_attention.h>
#include <tenet/ops/creation.h>

using namespace tenet;
using tenet::test::same_bits;

TEST_CASE("the gradient of LSH attention is written over its result if nobody needs that") {
  Generator generator(5);
  const Shape shape{2, 2, 512, 16};
  const Tensor turns = randn({2, 16, 2, 4}, generator), dy = randn(shape, generator);
  const Tensor qk = randn(shape, generator), v = randn(shape, generator);
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const Tensor leaf = qk.to(dtype).clone().set_requires_grad(true);
    const auto attend_to = [&] {
      return lsh_attention(leaf, v.to(dtype), turns, {.factors = {8}, .window = 8});
    };
    const auto place = [](const Tensor& x) { return view(x).data; };
    const Tensors dys{dy.to(dtype)};
    Tensor y = attend_to();
    const void* const bytes = place(y);
    const Tensor sum = y + 1.0;
    const Tensor copy = y.detach().clone();
    const Tensor kept = grad({sum}, {leaf}, {.dy = dys, .retain_graph = true})[0];
    CHECK(place(kept) != bytes);
    y = Tensor();
    const Tensor retained = grad({sum}, {leaf}, {.dy = dys, .retain_graph = true})[0];
    CHECK(place(retained) != bytes);
    const Tensor over = grad({sum}, {leaf}, {.dy = dys})[0];
    CHECK(place(over) == bytes);
    CHECK(same_bits(over, kept));
    CHECK(same_bits(over, retained));
    CHECK_THROWS_AS(grad({sum}, {leaf}, {.dy = dys}), Error);

    const Tensor held = attend_to();
    CHECK(same_bits(grad({held}, {leaf}, {.dy = dys})[0], over));
    CHECK(same_bits(held.detach(), copy));
  }
}
