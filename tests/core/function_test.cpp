#include <doctest/doctest.h>
#include <tenet/core/autograd.h>
#include <tenet/core/function.h>

#include "core/small_ops.h"

using namespace tenet;
using namespace tenet::test;

namespace {

struct Square : Function<Square> {
  static Tensor forward(Context& ctx, const Tensor& x) {
    ctx.save(x);
    return times(x, x);
  }
  static Tensors backward(Context& ctx, Tensors dy) {
    const Tensor x = ctx.saved(0);
    return {times(plus(x, x), dy[0])};
  }
};

/// Saves its output.
struct Tanh : Function<Tanh> {
  static Tensor forward(Context& ctx, const Tensor& x) {
    Tensor y = tanh_of(x);
    ctx.save(y);
    return y;
  }
  static Tensors backward(Context& ctx, Tensors dy) {
    const Tensor y = ctx.saved(0);
    return {minus(dy[0], times(dy[0], times(y, y)))};
  }
};

/// (a * b, a + b) scaled by a number; the list holds further terms of the sum.
struct Mixed : Function<Mixed> {
  static Tensors forward(Context& ctx, const Tensor& a, const Tensor& b, const Tensors& more,
                         double scale) {
    ctx.save(a, b);
    ctx.state<double>() = scale;
    Tensor sum = plus(a, b);
    for (const Tensor& x : more) sum = plus(sum, x);
    return {times(times(a, b), scaled(a, scale)), sum};
  }
  static Tensors backward(Context& ctx, Tensors dy) {
    const Tensor scale = scaled(ctx.saved(0), ctx.state<double>());
    Tensors dx(4);
    for (size_t i = 0; i < 4; ++i) {
      if (dy[1].defined()) dx[i] = dy[1];
    }
    wanted = ctx.needs_grad(1);
    if (dy[0].defined()) {
      const Tensor da = times(times(dy[0], scale), ctx.saved(1));
      dx[0] = dx[0].defined() ? plus(dx[0], da) : da;
      const Tensor db = times(times(dy[0], scale), ctx.saved(0));
      dx[1] = dx[1].defined() ? plus(dx[1], db) : db;
    }
    return dx;
  }
  static Tensor scaled(const Tensor& like, double scale) {
    return from_vector(std::vector<double>(static_cast<size_t>(like.numel()), scale), like.shape(),
                       {like.dtype()});
  }
  inline static bool wanted = false;
};

}  // namespace

TEST_CASE("a function's gradient is what its backward says, also a second time") {
  const Tensor x = leaf({3}, 1, DType::f64);
  const Tensor y = Square::apply(x);
  CHECK(same_bits(y, times(x, x)));
  const Tensor c = pattern({3}, 2, DType::f64);
  const Tensor g = grad({weighted(y, c)}, {x}, {.create_graph = true})[0];
  CHECK(max_difference(g, times(plus(x, x), c)) < 1e-15);
  const Tensor second = grad({total(g)}, {x})[0];
  CHECK(max_difference(second, plus(c, c)) < 1e-15);
}

TEST_CASE("a function may save its output without keeping itself alive") {
  const int64_t start = memory::stats(Device::cpu()).live;
  {
    const Tensor x = leaf({3}, 1, DType::f64);
    const Tensor own = Tanh::apply(x), reference = tanh_of(x);
    const Tensor g1 = grad({total(own)}, {x}, {.create_graph = true})[0];
    const Tensor g2 = grad({total(reference)}, {x}, {.create_graph = true})[0];
    CHECK(max_difference(g1, g2) < 1e-15);
    CHECK(max_difference(grad({total(g1)}, {x})[0], grad({total(g2)}, {x})[0]) < 1e-15);
  }
  CHECK(memory::stats(Device::cpu()).live == start);
}

TEST_CASE("functions take lists and numbers, and give several outputs") {
  const Tensor a = leaf({3}, 1, DType::f64), b = leaf({3}, 2, DType::f64);
  const Tensor m1 = leaf({3}, 3, DType::f64), m2 = pattern({3}, 4, DType::f64);
  const Tensor c = pattern({3}, 5, DType::f64);
  const Tensors y = Mixed::apply(a, b, Tensors{m1, m2}, 2.0);
  const Tensors g =
      grad({weighted(y[0], c)}, {a, b, m1}, {.retain_graph = true, .allow_unused = true});
  CHECK(max_difference(g[0], times(plus(b, b), c)) < 1e-15);
  CHECK(max_difference(g[1], times(plus(a, a), c)) < 1e-15);
  CHECK_FALSE(g[2].defined());
  backward(weighted(y[1], c));
  CHECK(same_bits(m1.grad(), c));
  CHECK(Mixed::wanted);
  backward(total(Mixed::apply(a, b.detach(), Tensors{m1, m2}, 1.0)[1]));
  CHECK_FALSE(Mixed::wanted);
}

TEST_CASE("saved tensors of a function are checked") {
  const Tensor x = leaf({3}, 1);
  const Tensor y = total(Square::apply(x));
  x.mutable_data<float>()[0] = 1;
  CHECK(error_of([&] { backward(y); }) ==
        "function: saved saved of shape (3,) was changed in place after it was saved (version 1, "
        "saved at 0); change a clone() instead");
  struct Greedy : Function<Greedy> {
    static Tensor forward(Context&, const Tensor& in) { return in.clone(); }
    static Tensors backward(Context& ctx, Tensors) { return {ctx.saved(3)}; }
  };
  CHECK(error_of([&] { backward(total(Greedy::apply(x))); }) == "function: saved tensor 3 of 0");
}

TEST_CASE("outside the graph a function only computes") {
  const NoGrad scope;
  const Tensor x = leaf({3}, 1);
  CHECK_FALSE(Square::apply(x).requires_grad());
}

TEST_CASE("an input handed through is a new tensor with a gradient of its own") {
  struct Same : Function<Same> {
    static Tensor forward(Context&, const Tensor& in) { return in; }
    static Tensors backward(Context&, Tensors dy) { return {plus(dy[0], dy[0])}; }
  };
  const Tensor x = leaf({3}, 1), c = pattern({3}, 2);
  const Tensor y = Same::apply(x);
  CHECK(y.data<float>() == x.data<float>());
  CHECK(x.is_leaf());
  backward(weighted(y, c));
  CHECK(same_bits(x.grad(), plus(c, c)));
}

TEST_CASE("forward knows which gradients are wanted") {
  struct Product : Function<Product> {
    static Tensor forward(Context& ctx, const Tensor& a, const Tensor& b) {
      if (ctx.needs_grad(1)) ctx.save(a);
      CHECK_FALSE(ctx.needs_grad(2));
      return times(a, b);
    }
    static Tensors backward(Context& ctx, Tensors dy) {
      return {{}, ctx.needs_grad(1) ? times(dy[0], ctx.saved(0)) : Tensor()};
    }
  };
  const Tensor a = pattern({3}, 1), b = leaf({3}, 2);
  backward(total(Product::apply(a, b)));
  CHECK(same_bits(b.grad(), a));
  const NoGrad scope;
  CHECK(same_bits(Product::apply(a, b), times(a, b.detach())));
}

TEST_CASE("outputs that can have no gradient stay outside the graph") {
  struct Parts : Function<Parts> {
    static Tensors forward(Context&, const Tensor& x, bool number) {
      const Tensor count = from_vector<int64_t>({x.numel()}, {1});
      return number ? Tensors{count, x.clone()} : Tensors{count};
    }
    static Tensors backward(Context&, Tensors dy) {
      CHECK_FALSE(dy[0].defined());
      return {dy[1]};
    }
  };
  const Tensor x = leaf({3}, 1), c = pattern({3}, 2);
  CHECK_FALSE(Parts::apply(x, false)[0].requires_grad());
  const Tensors y = Parts::apply(x, true);
  CHECK_FALSE(y[0].requires_grad());
  CHECK(y[0].item<int64_t>() == 3);
  backward(weighted(y[1], c));
  CHECK(same_bits(x.grad(), c));
}
