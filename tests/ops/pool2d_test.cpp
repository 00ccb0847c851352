#include <doctest/doctest.h>
#include <ops/images.h>
#include <tenet/core/autograd.h>
#include <tenet/core/parallel.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/stream.h>
#include <tenet/ops/views.h>

#include <algorithm>

using namespace tenet;
using namespace tenet::test;

namespace {

OpReference max_reference(Size2d kernel, Size2d stride, Size2d padding) {
  return [=](const Arrays& x) {
    return array_of(pool_shape(x[0].shape, kernel, stride, padding), [&](const Index& index) {
      double largest = -INFINITY;
      for (const Index& i : window_of(x[0].shape, index, kernel, stride, padding)) {
        largest = std::max(largest, at(x[0], i));
      }
      return largest;
    });
  };
}

OpReference avg_reference(Size2d kernel, Size2d stride, Size2d padding, bool count_padding) {
  return [=](const Arrays& x) {
    return array_of(pool_shape(x[0].shape, kernel, stride, padding), [&](const Index& index) {
      double sum = 0;
      const auto window = window_of(x[0].shape, index, kernel, stride, padding);
      for (const Index& i : window) sum += at(x[0], i);
      const int64_t padded = kernel.height * kernel.width;
      return sum /
             static_cast<double>(count_padding ? padded : static_cast<int64_t>(window.size()));
    });
  };
}

/// dx of a pooling: dy goes to the largest element's place, or in equal shares to all.
Array pool_gradient(const Array& x, const Array& dy, Size2d kernel, Size2d stride, Size2d padding,
                    bool largest, bool count_padding) {
  Array dx = zeros_array(x.shape);
  for (int64_t i = 0; i < dy.shape.numel(); ++i) {
    const Index index = index_of(dy.shape, i);
    const auto window = window_of(x.shape, index, kernel, stride, padding);
    if (largest) {
      const auto first = std::max_element(window.begin(), window.end(),
                                          [&](auto& a, auto& b) { return at(x, a) < at(x, b); });
      element(dx, *first) += at(dy, index);
      continue;
    }
    const int64_t all = kernel.height * kernel.width;
    const auto count = count_padding ? all : static_cast<int64_t>(window.size());
    for (const Index& j : window) element(dx, j) += at(dy, index) / static_cast<double>(count);
  }
  return dx;
}

OpCase row(std::string op, OpFunction function, OpReference reference) {
  OpCase c{.op = std::move(op), .inputs = {{.shape = {2, 2, 5, 4}}}};
  c.function = std::move(function);
  c.reference = std::move(reference);
  c.types = real_types;
  c.shapes = {{{0, 2, 5, 4}}, {{2, 0, 5, 4}}, {{1, 1, 3, 3}}};
  return c;
}

std::vector<OpError> errors(
    const std::string& op, const std::function<void(const Tensor&, Size2d, Size2d, Size2d)>& call) {
  const Tensor x = zeros({2, 3, 4, 4}), stream = encode(x);
  return {{[=] {
             call(zeros({3, 4, 4}), 2, 2, 0);
           },
           op + ": x has shape (3, 4, 4), not (N, C, H, W)"},
          {[=] { call(x, 0, 1, 0); }, op + ": kernel is 0 x 0; it must be 1 to 2147483647"},
          {[=] {
             call(x, 2, {1, 0}, 0);
           },
           op + ": stride is 1 x 0; it must be 1 to 2147483647"},
          {[=] { call(x, 2, 1, -1); }, op + ": padding is -1 x -1; it must be 0 to 2147483647"},
          {[=] { call(x, 3, 1, 2); }, op + ": padding 2 x 2 is more than half of kernel 3 x 3"},
          {[=] {
             call(x, {2, 5}, 1, 0);
           },
           op + ": kernel 2 x 5 with dilation 1 x 1 is larger than 4 x 4 with padding 0 x 0"},
          {[=] {
             call(zeros({2, 3, 0, 4}), 2, 1, 1);
           },
           op + ": x has shape (2, 3, 0, 4); its planes must have 1 to 2147483647 elements"},
          {[=] { call(x.to(DType::i32), 2, 1, 0); }, op + ": dtype i32 is not supported"},
          {[=] { call(stream, 2, 1, 0); }, op + ": fixed-point stream; decode() it first"}};
}

}  // namespace

TEST_CASE("op table: max_pool2d") {
  OpCase c{.op = "max_pool2d"};
  SUBCASE("the kernel's stride") {
    c = row(
        "max_pool2d", [](const Tensors& t) { return max_pool2d(t[0], 2); }, max_reference(2, 2, 0));
    c.errors = errors("max_pool2d", [](const Tensor& x, Size2d kernel, Size2d stride, Size2d p) {
      max_pool2d(x, kernel, {.stride = stride, .padding = p});
    });
  }
  SUBCASE("windows that overlap and stick out") {
    c = row(
        "max_pool2d",
        [](const Tensors& t) {
          return max_pool2d(t[0], {3, 2}, {.stride = {1, 2}, .padding = 1});
        },
        max_reference({3, 2}, {1, 2}, 1));
  }
  run(c);
}

TEST_CASE("op table: avg_pool2d") {
  OpCase c{.op = "avg_pool2d"};
  SUBCASE("the kernel's stride") {
    c = row(
        "avg_pool2d",
        [](const Tensors& t) {
          return avg_pool2d(t[0], {2, 3});
        },
        avg_reference({2, 3}, {2, 3}, 0, true));
    c.errors = errors("avg_pool2d", [](const Tensor& x, Size2d kernel, Size2d stride, Size2d p) {
      avg_pool2d(x, kernel, {.stride = stride, .padding = p});
    });
  }
  SUBCASE("padding counts") {
    c = row(
        "avg_pool2d",
        [](const Tensors& t) {
          return avg_pool2d(t[0], 3, {.stride = {2, 1}, .padding = 1});
        },
        avg_reference(3, {2, 1}, 1, true));
  }
  SUBCASE("padding does not count") {
    c = row(
        "avg_pool2d",
        [](const Tensors& t) {
          return avg_pool2d(t[0], 3, {.stride = {2, 1}, .padding = 1, .count_include_pad = false});
        },
        avg_reference(3, {2, 1}, 1, false));
  }
  run(c);
}

TEST_CASE("pooling and its gradients are the definition's on random layouts") {
  Dice dice(3);
  for (int count = 0; count < 120; ++count) {
    const Size2d kernel = dice.size(1, 4), stride = dice.size(1, 4);
    const Size2d padding{dice(0, kernel.height / 2), dice(0, kernel.width / 2)};
    const Array x = dice.array({dice(1, 3), dice(1, 3), dice(4, 9), dice(4, 9)});
    const bool largest = count % 3 == 0, counted = count % 3 == 1;
    const Array y = (largest ? max_reference(kernel, stride, padding)
                             : avg_reference(kernel, stride, padding, counted))(Arrays{x})[0];
    const Array dy = dice.array(y.shape);
    Tensor in = tensor_of(x).set_requires_grad(true);
    const Tensor got = largest ? max_pool2d(in, kernel, {.stride = stride, .padding = padding})
                               : avg_pool2d(in, kernel, {stride, padding, counted});
    CAPTURE(count);
    CHECK(distance(got, y) <= 1e-12);
    const Tensor dx = grad({got}, {in}, {.dy = {tensor_of(dy)}})[0];
    CHECK(distance(dx, pool_gradient(x, dy, kernel, stride, padding, largest, counted)) <= 1e-12);
  }
}

TEST_CASE("max_pool2d: NaN wins, infinities count, the first of equals gets the gradient") {
  const float nan = NAN, infinity = INFINITY;
  Tensor x = from_vector<float>({1, 1, nan, 9, 1, 1, 3, infinity, -infinity, -infinity, 0, -1,
                                 -infinity, -infinity, -2, -1},
                                {1, 1, 4, 4})
                 .set_requires_grad(true);
  const Tensor y = max_pool2d(x, 2);
  const std::vector<float> values = y.to_vector<float>();
  CHECK(values[0] == 1);
  CHECK(std::isnan(values[1]));
  CHECK(values[2] == -infinity);
  CHECK(values[3] == 0);
  backward(y, {.dy = from_vector<float>({1, 2, 3, 4}, {1, 1, 2, 2})});
  CHECK(x.grad().to_vector<float>() ==
        std::vector<float>{1, 0, 2, 0, 0, 0, 0, 0, 3, 0, 4, 0, 0, 0, 0, 0});
}

TEST_CASE("pooling: an image's result does not depend on the batch around it or on threads") {
  const int threads = num_threads();
  Generator generator(1);
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const Tensor x = randn({12, 30, 17, 19}, generator).to(dtype);
    for (const bool largest : {true, false}) {
      const auto pooled = [&](const Tensor& in) {
        return largest ? max_pool2d(in, 3, {.stride = 2, .padding = 1})
                       : avg_pool2d(in, 3, {.stride = 2, .padding = 1});
      };
      set_num_threads(4);
      const Tensor all = pooled(x);
      set_num_threads(1);
      CHECK(same_bits(pooled(x), all));
      CHECK(same_bits(pooled(slice(x, 0, 7, 8)), slice(all, 0, 7, 8)));
    }
  }
  set_num_threads(threads);
}
