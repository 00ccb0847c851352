#include <doctest/doctest.h>
#include <ops/images.h>
#include <tenet/core/autograd.h>
#include <tenet/core/memory.h>
#include <tenet/core/parallel.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/reduce.h>
#include <tenet/ops/stream.h>
#include <tenet/ops/views.h>

using namespace tenet;
using namespace tenet::test;

namespace {

OpCase row(const Shape& x, const Shape& w, const Conv2dOptions& options, bool bias) {
  OpCase result{.op = "conv2d", .inputs = {{.shape = x}, {.shape = w}}};
  if (bias) result.inputs.push_back({.shape = {w[0]}});
  result.function = [=](const Tensors& t) {
    return conv2d(t[0], t[1], bias ? t[2] : Tensor(), options);
  };
  result.reference = conv_reference(options);
  result.types = real_types;
  result.tolerance = 1e-5;
  return result;
}

std::vector<OpError> errors() {
  const Tensor x = zeros({2, 3, 8, 8}), w = zeros({4, 3, 3, 3}), stream = encode(x);
  const auto with = [=](Conv2dOptions options) { return [=] { conv2d(x, w, {}, options); }; };
  return {
      {[=] {
         conv2d(zeros({3, 8, 8}), w);
       },
       "conv2d: x has shape (3, 8, 8), not (N, C, H, W)"},
      {[=] {
         conv2d(x, zeros({4, 3}));
       },
       "conv2d: weight has shape (4, 3), not (O, C / groups, KH, KW)"},
      {[=] {
         conv2d(x, zeros({4, 2, 3, 3}));
       },
       "conv2d: x has shape (2, 3, 8, 8), weight (4, 2, 3, 3) with 1 group(s) takes 2 channels"},
      {with({.groups = 3}),
       "conv2d: weight has shape (4, 3, 3, 3), its 4 outputs are not 3 equal groups"},
      {with({.groups = 0}),
       "conv2d: weight has shape (4, 3, 3, 3), its 4 outputs are not 0 equal groups"},
      {with({.groups = 2}),
       "conv2d: x has shape (2, 3, 8, 8), weight (4, 3, 3, 3) with 2 group(s) takes 6 channels"},
      {[=] { conv2d(x, w, zeros({3})); },
       "conv2d: bias has shape (3,), weight (4, 3, 3, 3) gives 4 channels"},
      {with({.stride = {0, 1}}), "conv2d: stride is 0 x 1; it must be 1 to 2147483647"},
      {with({.padding = -1}), "conv2d: padding is -1 x -1; it must be 0 to 2147483647"},
      {with({.dilation = {1, 0}}), "conv2d: dilation is 1 x 0; it must be 1 to 2147483647"},
      {[=] {
         conv2d(x, zeros({4, 3, 0, 3}));
       },
       "conv2d: kernel is 0 x 3; it must be 1 to 2147483647"},
      {[=] {
         conv2d(zeros({2, 3, 3, 3}), zeros({4, 3, 5, 5}));
       },
       "conv2d: kernel 5 x 5 with dilation 1 x 1 is larger than 3 x 3 with padding 0 x 0"},
      {with({.dilation = {1, 4}}),
       "conv2d: kernel 3 x 3 with dilation 1 x 4 is larger than 8 x 8 with padding 0 x 0"},
      {[=] { conv2d(x.to(DType::i64), w.to(DType::i64)); }, "conv2d: dtype i64 is not supported"},
      {[=] { conv2d(stream, w); }, "conv2d: fixed-point stream; decode() it first"}};
}

}  // namespace

TEST_CASE("op table: conv2d") {
  OpCase c{.op = "conv2d"};
  SUBCASE("with bias") {
    c = row({2, 3, 4, 5}, {2, 3, 3, 2}, {}, true);
    c.shapes = {{{0, 3, 4, 5}, {2, 3, 3, 2}, {2}}, {{1, 1, 1, 1}, {1, 1, 1, 1}, {1}},
                {{1, 0, 3, 3}, {2, 0, 2, 2}, {2}}, {{2, 3, 3, 3}, {0, 3, 2, 2}, {0}},
                {{2, 2, 3, 3}, {3, 2, 1, 1}, {3}}, {{1, 2, 3, 3}, {2, 2, 3, 3}, {2}}};
    c.errors = errors();
  }
  SUBCASE("stride and padding") {
    c = row({2, 2, 5, 4}, {3, 2, 3, 3}, {.stride = {2, 1}, .padding = {1, 2}}, false);
    c.shapes = {{{1, 2, 0, 4}, {3, 2, 2, 3}}};
  }
  SUBCASE("dilation") {
    c = row({1, 2, 6, 5}, {2, 2, 2, 3}, {.padding = 1, .dilation = {3, 2}}, true);
  }
  SUBCASE("groups") { c = row({2, 4, 4, 3}, {6, 2, 2, 2}, {.padding = 1, .groups = 2}, true); }
  SUBCASE("one channel a group") { c = row({2, 3, 3, 4}, {6, 1, 2, 3}, {.groups = 3}, false); }
  run(c);
}

TEST_CASE("conv2d and its gradients are the definition's on random layouts") {
  Dice dice(1);
  double worst = 0, worst_f32 = 0;
  for (int count = 0; count < 160; ++count) {
    const int64_t groups = dice(1, 3), channels = dice(1, 4), kernel = count % 3 == 0 ? 1 : 4;
    const Conv2dOptions o{dice.size(1, 3), dice.size(0, 3), dice.size(1, 2), groups};
    const Shape w{groups * dice(1, 4), channels, dice(1, kernel), dice(1, kernel)};
    const Shape x{dice(1, 5), groups * channels, dice(7, 24), dice(7, 24)};
    const Array in = dice.array(x), weight = dice.array(w), bias = dice.array({w[0]});
    const Array y = conv_reference(o)(Arrays{in, weight, bias})[0], dy = dice.array(y.shape);
    const Arrays gradients = conv_gradients(in, weight, dy, o);
    CAPTURE(x);
    CAPTURE(w);
    for (const DType dtype : {DType::f64, DType::f32}) {
      Tensor a = tensor_of(in, dtype).set_requires_grad(true);
      Tensor b = tensor_of(weight, dtype).set_requires_grad(true);
      const Tensor got = conv2d(a, b, tensor_of(bias, dtype), o);
      double error = distance(got, y);
      const Tensors d = grad({got}, {a, b}, {.dy = {tensor_of(dy, dtype)}});
      for (size_t i = 0; i < 2; ++i) error = std::max(error, distance(d[i], gradients[i]));
      CHECK(error <= (dtype == DType::f64 ? 1e-12 : 1e-5));
      double& most = dtype == DType::f64 ? worst : worst_f32;
      most = std::max(most, error);
    }
  }
  MESSAGE("160 layouts: off by " << worst << " in f64, " << worst_f32 << " in f32");
}

TEST_CASE("windows far apart, with padding far beyond the image") {
  for (const int64_t channels : {1, 2}) {
    const Tensor x = full({1, channels, 2, 2}, 3), w = full({1, channels, 1, 1}, 5);
    for (const int64_t far : {3, 100'000, INT32_MAX}) {
      CAPTURE(far);
      Tensor a = x.clone().set_requires_grad(true), b = w.clone().set_requires_grad(true);
      const Tensor y = conv2d(a, b, {}, {.stride = far, .padding = far});
      REQUIRE(y.shape() == Shape{1, 1, 3, 3});  // the window at the image's first element counts
      backward(sum(y));
      for (int64_t i = 0; i < 9; ++i) {
        CHECK(y.to_vector<float>()[i] == (i == 4 ? static_cast<float>(15 * channels) : 0.0F));
      }
      CHECK(a.grad().to_vector<float>()[0] == 5);
      CHECK(a.grad().to_vector<float>()[1] == 0);
      CHECK(b.grad().to_vector<float>()[0] == 3);
    }
  }
}

TEST_CASE("long sums: more patch rows and more windows than fit into one block") {
  Dice dice(2);
  const Conv2dOptions o{.padding = 1};
  const Array x = dice.array({3, 120, 5, 70}), w = dice.array({5, 120, 3, 3});
  const Array y = conv_reference(o)(Arrays{x, w})[0], dy = dice.array(y.shape);
  const Arrays gradients = conv_gradients(x, w, dy, o);
  Tensor a = tensor_of(x).set_requires_grad(true), b = tensor_of(w).set_requires_grad(true);
  const Tensor got = conv2d(a, b, {}, o);
  CHECK(distance(got, y) <= 1e-12);
  const Tensors d = grad({got}, {a, b}, {.dy = {tensor_of(dy)}});
  CHECK(distance(d[0], gradients[0]) <= 1e-12);
  CHECK(distance(d[1], gradients[1]) <= 1e-12);
}

TEST_CASE("an image's result does not depend on the batch around it or on threads") {
  struct Layout {
    Shape x, w;
    Conv2dOptions options;
  };
  const Layout layouts[] = {{{9, 8, 7, 7}, {16, 8, 3, 3}, {.padding = 1}},
                            {{5, 3, 20, 33}, {20, 3, 5, 5}, {.stride = 2, .padding = 2}},
                            {{6, 130, 3, 3}, {70, 130, 3, 3}, {.padding = 1}},
                            {{4, 6, 16, 17}, {6, 1, 3, 3}, {.groups = 6}},
                            {{7, 24, 18, 19}, {40, 24, 1, 1}, {}}};
  const int threads = num_threads();
  for (const Layout& layout : layouts) {
    for (const DType dtype : real_types) {
      CAPTURE(layout.x);
      CAPTURE(dtype);
      const Tensor x = random(layout.x, 1, dtype), w = random(layout.w, 2, dtype);
      const Tensor bias = random({layout.w[0]}, 3, dtype);
      const auto convolved = [&](const Tensor& in) { return conv2d(in, w, bias, layout.options); };
      set_num_threads(1);
      const Tensor all = convolved(x);
      for (const int count : {1, 2, 5}) {
        set_num_threads(count);
        CHECK(same_bits(convolved(x), all));
        for (const int64_t image : {int64_t{0}, layout.x[0] - 1}) {
          CHECK(
              same_bits(convolved(slice(x, 0, image, image + 1)), slice(all, 0, image, image + 1)));
        }
        CHECK(same_bits(convolved(slice(x, 0, 1, 3)), slice(all, 0, 1, 3)));
      }
    }
  }
  set_num_threads(threads);
}

TEST_CASE("gradients have the same bits for any number of threads") {
  const int threads = num_threads();
  Tensor x = random({6, 12, 9, 40}, 1).set_requires_grad(true);
  Tensor w = random({10, 6, 3, 3}, 2).set_requires_grad(true);
  Tensor bias = random({10}, 3).set_requires_grad(true);
  const auto gradients = [&](int count) {
    set_num_threads(count);
    const Tensor y = conv2d(x, w, bias, {.padding = 1, .groups = 2});
    return grad({y}, {x, w, bias}, {.dy = {random(y.shape(), 4)}});
  };
  const Tensors one = gradients(1);
  for (const int count : {2, 5}) {
    const Tensors more = gradients(count);
    for (size_t i = 0; i < 3; ++i) CHECK(same_bits(more[i], one[i]));
  }
  set_num_threads(threads);
}

TEST_CASE("work space does not grow with the batch") {
  const int threads = num_threads();
  set_num_threads(1);
  const auto peak = [](int64_t images) {
    const Tensor x = random({images, 16, 24, 24}, 1), w = random({16, 16, 3, 3}, 2);
    const Tensor y = empty_like(x), dx = empty_like(x), dw = empty_like(w);
    const Conv2dOptions o{.padding = 1};
    memory::reset_peak();
    detail::conv2d_kernel({}, view(y), view(x), view(w), View(), o);
    detail::conv2d_input_kernel({}, view(dx), view(y), view(w), o);
    detail::conv2d_weight_kernel({}, view(dw), view(y), view(x), o);
    return memory::stats(Device::cpu(), memory::Category::workspace).peak;
  };
  const int64_t small = peak(8), large = peak(32);
  set_num_threads(threads);
  CHECK(small > 0);
  CHECK(large == small);
}

TEST_CASE("types are promoted; under Autocast f32 is converted; gradients keep each one's own") {
  Tensor x = random({2, 3, 5, 5}, 1, DType::bf16).set_requires_grad(true);
  Tensor w = random({4, 3, 3, 3}, 2).set_requires_grad(true);
  Tensor bias = random({4}, 3).set_requires_grad(true);
  const Tensor y = conv2d(x, w, bias);
  CHECK(y.dtype() == DType::f32);
  backward(y, {.dy = ones(y.shape())});
  CHECK(x.grad().dtype() == DType::bf16);
  CHECK(w.grad().dtype() == DType::f32);
  CHECK(bias.grad().to_vector<float>() == std::vector<float>(4, 18));
  const Autocast scope(DType::bf16);
  const Tensor half = conv2d(x, w, bias);
  CHECK(half.dtype() == DType::bf16);
  CHECK(same_bits(half, conv2d(x, w.to(DType::bf16), bias.to(DType::bf16))));
  CHECK(conv2d(x.to(DType::f64), w).dtype() == DType::f64);
}

TEST_CASE("only what a gradient needs is saved, and third derivatives exist") {
  const Tensor x = random({1, 2, 3, 3}, 1, DType::f64);
  Tensor w = random({2, 2, 2, 2}, 2, DType::f64).set_requires_grad(true);
  const Tensor y = conv2d(x, w);
  x.bump_version();  // as if written to: dw needs it
  check_error(
      [&] { backward(y, {.dy = y.detach()}); },
      "conv2d: saved x of shape (1, 2, 3, 3) was changed in place after it was saved (version "
      "1, saved at 0); change a clone() instead");
  // sum(conv(x, w)^3) is cubic in w: its third derivative by one weight is the same anywhere.
  const auto third = [&](double at) {
    Tensor v = full({1, 1, 1, 1}, at, {DType::f64}).set_requires_grad(true);
    const Tensor z = conv2d(slice(x, 1, 0, 1), v);
    Tensor d = mul(mul(z, z), z);
    for (int i = 0; i < 3; ++i) {
      d = grad({d}, {v}, {.dy = {ones(d.shape(), {DType::f64})}, .create_graph = true})[0];
    }
    return d.item<double>();
  };
  double cubes = 0;
  for (const double value : slice(x, 1, 0, 1).to_vector<double>())
    cubes += 6 * value * value * value;
  CHECK(third(0.5) == doctest::Approx(cubes));
  CHECK(third(-2) == doctest::Approx(cubes));
}

TEST_CASE("memory that runs out on any thread is an error, and the next call works") {
  const int threads = num_threads();
  set_num_threads(3);
  Tensor x = random({8, 16, 20, 20}, 1).set_requires_grad(true);
  Tensor w = random({16, 16, 3, 3}, 2).set_requires_grad(true);
  const auto step = [&] {
    const Tensor y = conv2d(x, w, {}, {.padding = 1});
    return grad({y}, {x, w}, {.dy = {y.detach()}});
  };
  const Tensors want = step();
  int failures = 0;
  for (int n = 0; n < 400; ++n) {
    detail::fail_allocation_after(n);
    try {
      step();
      break;
    } catch (const OutOfMemory&) {
      ++failures;
    }
  }
  detail::fail_allocation_after(-1);
  set_num_threads(threads);
  CHECK(failures > 10);
  const Tensors again = step();
  CHECK(same_bits(again[0], want[0]));
  CHECK(same_bits(again[1], want[1]));
}

TEST_CASE("gradients of few windows have the same bits for any number of threads") {
  const int threads = num_threads();
  Tensor x = random({2, 4, 12, 12}, 1).set_requires_grad(true);
  const Tensor w = random({5, 4, 3, 3}, 2);
  const auto gradient = [&](int count) {
    set_num_threads(count);
    const Tensor y = conv2d(x, w, {}, {.padding = 1});
    return grad({y}, {x}, {.dy = {random(y.shape(), 3)}})[0];
  };
  const Tensor one = gradient(1);
  for (const int count : {2, 5}) CHECK(same_bits(gradient(count), one));
  set_num_threads(threads);
}
