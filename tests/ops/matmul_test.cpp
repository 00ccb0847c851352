#include <doctest/doctest.h>
#include <omp.h>
#include <ops/op_case.h>
#include <tenet/core/memory.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/elementwise.h>
#include <tenet/ops/matmul.h>
#include <tenet/ops/reduce.h>
#include <tenet/ops/stream.h>
#include <tenet/ops/views.h>

#include <cmath>
#include <cstring>

using namespace tenet;
using namespace tenet::test;

namespace {

/// The product of two arrays with two axes or more, leading axes broadcast.
Array reference_product(const Array& a, const Array& b) {
  const int ad = a.shape.dim(), bd = b.shape.dim();
  const int64_t m = a.shape[ad - 2], k = a.shape[ad - 1], n = b.shape[bd - 1];
  const auto leading = [](const Shape& s) {
    return Shape(std::span(s.begin(), static_cast<size_t>(s.dim() - 2)));
  };
  const Shape a_batch = leading(a.shape), b_batch = leading(b.shape);
  Array y{broadcast(a_batch, b_batch, "reference"), {}};
  const Shape batch = y.shape;
  const auto item = [&](const Shape& own, int64_t index) {
    int64_t place = 0, step = 1;
    for (int axis = batch.dim() - 1; axis >= 0; --axis) {
      const int64_t at = index % batch[axis];
      index /= batch[axis];
      const int mine = axis - (batch.dim() - own.dim());
      if (mine < 0) continue;
      if (own[mine] != 1) place += at * step;
      step *= own[mine];
    }
    return place;
  };
  for (int64_t index = 0; index < batch.numel(); ++index) {
    const double* x = a.values.data() + item(a_batch, index) * m * k;
    const double* w = b.values.data() + item(b_batch, index) * k * n;
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        double sum = 0;
        for (int64_t p = 0; p < k; ++p) sum += x[i * k + p] * w[p * n + j];
        y.values.push_back(sum);
      }
    }
  }
  y.shape.push_back(m);
  y.shape.push_back(n);
  return y;
}

Array matmul_reference(const Arrays& xs) {
  Array a = xs[0], b = xs[1];
  const bool row = a.shape.dim() == 1, column = b.shape.dim() == 1;
  if (row) a.shape.insert(0, 1);
  if (column) b.shape.insert(1, 1);
  Array y = reference_product(a, b);
  if (column) y.shape.erase(y.shape.dim() - 1);
  if (row) y.shape.erase(y.shape.dim() - (column ? 1 : 2));
  return y;
}

Array linear_reference(const Arrays& xs) {
  const Array &x = xs[0], &w = xs[1];
  const int64_t out = w.shape[0], in = w.shape[1];
  Array y = x;
  y.shape[y.shape.dim() - 1] = out;
  y.values.assign(static_cast<size_t>(y.shape.numel()), 0);
  for (size_t i = 0; i < y.values.size(); ++i) {
    const size_t row = i / static_cast<size_t>(out), column = i % static_cast<size_t>(out);
    if (xs.size() > 2) y.values[i] = xs[2].values[column];
    for (int64_t p = 0; p < in; ++p)
      y.values[i] += x.values[row * in + p] * w.values[column * in + p];
  }
  return y;
}

}  // namespace

TEST_CASE("op table: matrix products") {
  OpCase row;
  SUBCASE("matmul") {
    row = {.op = "matmul", .inputs = {{.shape = {3, 4}}, {.shape = {4, 5}}}};
    row.function = [](const Tensors& x) { return matmul(x[0], x[1]); };
    row.reference = matmul_reference;
    row.tolerance = 1e-5;
    row.types = {DType::f32, DType::f64, DType::bf16, DType::f16, DType::i32, DType::i64};
    row.shapes = {{{4}, {4}},
                  {{4}, {4, 5}},
                  {{3, 4}, {4}},
                  {{2, 3, 4}, {4, 5}},
                  {{2, 3, 4}, {4}},
                  {{4}, {2, 4, 3}},
                  {{3, 4}, {2, 4, 3}},
                  {{2, 3, 4}, {2, 4, 2}},
                  {{2, 1, 3, 4}, {3, 4, 2}},
                  {{1, 3, 4}, {2, 4, 2}},
                  {{1, 1}, {1, 1}},
                  {{1, 4}, {4, 1}},
                  {{3, 1}, {1, 5}},
                  {{0, 4}, {4, 5}},
                  {{3, 0}, {0, 5}},
                  {{3, 4}, {4, 0}},
                  {{0}, {0}},
                  {{2, 0, 3}, {2, 3, 4}},
                  {{0, 2, 3}, {3, 4}},
                  {{1, 2, 3}, {0, 3, 4}}};
    const Tensor a = zeros({2, 3}), b = zeros({4, 5}), stream = encode(zeros({2, 2}));
    const Tensor truth = zeros({2, 2}, {.dtype = DType::boolean});
    row.errors = {
        {[=] { matmul(a, b); }, "matmul: inner sizes differ, (2, 3) x (4, 5)"},
        {[=] { matmul(a, zeros({4})); }, "matmul: inner sizes differ, (2, 3) x (4,)"},
        {[=] { matmul(zeros({3}), a); }, "matmul: inner sizes differ, (3,) x (2, 3)"},
        {[=] {
           matmul(zeros({2, 3, 4}), zeros({3, 4, 5}));
         },
         "matmul: leading axes do not broadcast, (2, 3, 4) x (3, 4, 5)"},
        {[=] { matmul(zeros({}), a); }, "matmul: a scalar has no inner size, () x (2, 3); use mul"},
        {[=] { matmul(truth, truth); },
         "matmul: dtype boolean is not supported; convert with .to(dtype)"},
        {[=] {
           matmul(stream, zeros({2, 2}));
         },
         "matmul: fixed-point stream; decode() it first"}};
  }
  SUBCASE("linear") {
    row = {.op = "linear", .inputs = {{.shape = {3, 4}}, {.shape = {5, 4}}, {.shape = {5}}}};
    row.function = [](const Tensors& x) { return linear(x[0], x[1], x[2]); };
    row.reference = linear_reference;
    row.tolerance = 1e-5;
    row.types = real_types;
    row.shapes = {{{4}, {5, 4}, {5}},       {{2, 3, 4}, {5, 4}, {5}}, {{2, 2, 3, 4}, {1, 4}, {1}},
                  {{0, 4}, {5, 4}, {5}},    {{3, 0}, {5, 0}, {5}},    {{3, 4}, {0, 4}, {0}},
                  {{2, 0, 4}, {5, 4}, {5}}, {{1, 1}, {1, 1}, {1}}};
    const Tensor x = zeros({2, 3}), w = zeros({4, 5}), bias = zeros({3});
    row.errors = {
        {[=] { linear(x, w); }, "linear: x has shape (2, 3), weight (4, 5) takes 5 inputs"},
        {[=] { linear(zeros({}), w); }, "linear: x has shape (), weight (4, 5) takes 5 inputs"},
        {[=] { linear(x, bias); }, "linear: weight has shape (3,), not (out, in)"},
        {[=] {
           linear(zeros({2, 5}), w, bias);
         },
         "linear: bias has shape (3,), weight (4, 5) gives 4 outputs"},
        {[=] {
           linear(x.to(DType::i64), zeros({1, 3}).to(DType::i64));
         },
         "linear: dtype i64 is not supported"}};
  }
  SUBCASE("linear_relu") {
    row = {.op = "linear_relu", .inputs = {{.shape = {3, 4}}, {.shape = {5, 4}}, {.shape = {5}}}};
    row.function = [](const Tensors& x) { return linear_relu(x[0], x[1], x[2]); };
    row.reference = [](const Arrays& x) {
      Array y = linear_reference(x);
      for (double& value : y.values) value = std::max(value, 0.0);
      return y;
    };
    row.tolerance = 1e-5;
    row.types = real_types;
    row.shapes = {
        {{4}, {5, 4}, {5}}, {{2, 3, 4}, {5, 4}, {5}}, {{0, 4}, {5, 4}, {5}}, {{3, 0}, {5, 0}, {5}}};
    const Tensor x = zeros({2, 3}), w = zeros({4, 5});
    row.errors = {{[=] { linear_relu(x, w); },
                   "linear_relu: x has shape (2, 3), weight (4, 5) takes 5 inputs"},
                  {[=] {
                     linear_relu(x.to(DType::i64), zeros({1, 3}).to(DType::i64));
                   },
                   "linear_relu: dtype i64 is not supported"}};
  }
  SUBCASE("linear without bias") {
    row = {.op = "linear", .inputs = {{.shape = {2, 3, 4}}, {.shape = {5, 4}}}};
    row.function = [](const Tensors& x) { return linear(x[0], x[1]); };
    row.reference = linear_reference;
    row.tolerance = 1e-5;
    row.types = real_types;
  }
  run(row);
}

TEST_CASE("matmul: operands of two types are promoted, gradients keep each one's own") {
  const Tensor a = random({2, 3}, 1, DType::bf16).set_requires_grad(true);
  const Tensor b = random({3, 4}, 2).set_requires_grad(true);
  const Tensor y = matmul(a, b);
  CHECK(y.dtype() == DType::f32);
  CHECK(same_bits(y, matmul(a.to(DType::f32), b)));
  backward(y, {.dy = ones({2, 4})});
  CHECK(a.grad().dtype() == DType::bf16);
  CHECK(b.grad().dtype() == DType::f32);
  CHECK(matmul(zeros({2, 3}, {.dtype = DType::i64}), b.detach().to(DType::f16)).dtype() ==
        DType::f16);
}

TEST_CASE("matmul: under Autocast f32 operands are converted, f64 stay") {
  const Tensor a = random({5, 6}, 1).set_requires_grad(true);
  const Tensor w = random({4, 6}, 2).set_requires_grad(true);
  const Tensor bias = random({4}, 3).set_requires_grad(true);
  Tensor y;
  {
    const Autocast scope(DType::bf16);
    y = linear(a, w, bias);
    CHECK(matmul(random({2, 2}, 4, DType::f64), random({2, 2}, 5, DType::f64)).dtype() ==
          DType::f64);
  }
  CHECK(y.dtype() == DType::bf16);
  CHECK(same_bits(y, linear(a.to(DType::bf16), w.to(DType::bf16), bias.to(DType::bf16))));
  backward(y, {.dy = ones({5, 4}, {.dtype = DType::bf16})});
  for (const Tensor& x : {a, w, bias}) CHECK(x.grad().dtype() == DType::f32);
}

TEST_CASE("matmul: under Autocast gradients of f32 operands are sums in f32, not rounded") {
  for (const DType type : {DType::bf16, DType::f16}) {
    const Tensor x = random({3, 50, 70}, 1).set_requires_grad(true);
    const Tensor w = random({40, 70}, 2).set_requires_grad(true), dy = random({3, 50, 40}, 3, type);
    const auto exact = [&](const Tensor& t) { return t.detach().to(type).to(DType::f64); };
    const Tensor dx = matmul(exact(dy), exact(w));
    const Tensor dw =
        matmul(transpose(reshape(exact(dy), {150, 40}), 0, 1), reshape(exact(x), {150, 70}));
    const Autocast scope(type);
    const Tensor bias = random({40}, 4);
    for (const Tensor& y : {linear(x, w, bias), matmul(x, transpose(w, 0, 1))}) {
      const Tensors d = grad({y}, {x, w}, {.dy = {dy}});
      CHECK(d[0].dtype() == DType::f32);
      CHECK(max(abs(d[0].to(DType::f64) - dx)).item<double>() <= 1e-4);  // bf16: 0.05
      CHECK(max(abs(d[1].to(DType::f64) - dw)).item<double>() <= 1e-4);
    }
    CHECK(same_bits(linear(x, w, bias), linear(x.to(type), w.to(type), bias.to(type))));
    CHECK(
        same_bits(matmul(x, transpose(w, 0, 1)), matmul(x.to(type), transpose(w.to(type), 0, 1))));
    const Tensor repeated = expand(random({1, 70}, 5), {40, 70});
    CHECK(same_bits(linear(x, repeated), linear(x.to(type), repeated.contiguous().to(type))));
  }
}

TEST_CASE("linear_relu: relu of linear and its gradients, to the bit") {
  for (const DType type : {DType::f32, DType::f64, DType::bf16, DType::f16}) {
    for (const bool with_bias : {true, false}) {
      const Tensor x = random({2, 37, 45}, 1, type).set_requires_grad(true);
      const Tensor w = random({67, 45}, 2, type).set_requires_grad(true);
      const Tensor bias = with_bias ? random({67}, 3, type).set_requires_grad(true) : Tensor();
      const Tensor dy = random({2, 37, 67}, 4, type);
      const Tensors xs = with_bias ? Tensors{x, w, bias} : Tensors{x, w};
      const Tensor y = linear_relu(x, w, bias), z = relu(linear(x, w, bias));
      CHECK(same_bits(y, z));
      CHECK(same_bits(grad({y}, xs, {.dy = {dy}}), grad({z}, xs, {.dy = {dy}})));
    }
  }
  const Tensor nan = full({1, 1}, NAN, {.dtype = DType::bf16});
  CHECK(std::isnan(linear_relu(nan, nan).to(DType::f32).item<float>()));
}

TEST_CASE("matmul: transposed, sliced and repeated operands are read in place") {
  const Tensor a = random({40, 70}, 1), b = random({40, 70}, 2);
  const Tensor slices = slice(a, 1, 3, 67, 2), repeated = expand(random({1, 70}, 3), {40, 70});
  const auto activation = [] { return memory::stats(Device::cpu(), memory::Category::activation); };
  const int64_t before = activation().live;
  memory::reset_peak();
  const Tensor y = matmul(transpose(a, 0, 1), b);
  CHECK(activation().peak - before == activation().live - before);
  CHECK(same_bits(y, matmul(transpose(a, 0, 1).contiguous(), b)));
  CHECK(same_bits(matmul(slices, transpose(slices, 0, 1)),
                  matmul(slices.contiguous(), transpose(slices, 0, 1).contiguous())));
  CHECK(same_bits(matmul(repeated, transpose(b, 0, 1)),
                  matmul(repeated.contiguous(), transpose(b, 0, 1).contiguous())));
}

TEST_CASE("matmul: only what the gradient needs is saved") {
  const Tensor x = random({64, 64}, 1), w = random({64, 64}, 2).set_requires_grad(true);
  const auto saved = [](const Tensor& y) {
    struct Count : SavedFields {
      void operator()(std::string_view name, Saved& field) override {
        if (field.defined()) names += std::string(name) + " ";
      }
      std::string names;
    } count;
    edge_of(y).node->saved(count);
    return count.names;
  };
  CHECK(saved(matmul(x, w)) == "a ");
  CHECK(saved(matmul(w, x)) == "b ");
  CHECK(saved(matmul(w, w)) == "a b ");
  CHECK(saved(linear(x, w)) == "x ");
  CHECK(saved(linear(w, x)) == "weight ");
}

TEST_CASE("linear: a row depends on no other row, at any number of threads") {
  const int before = omp_get_max_threads();
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const Tensor x = random({2, 150, 65}, 1, dtype), w = random({258, 65}, 2, dtype);
    const Tensor bias = random({258}, 3, dtype);
    const Tensor whole = reshape(linear(x, w, bias), {300, 258}), rows = reshape(x, {300, 65});
    for (const int threads : {1, 2}) {
      omp_set_num_threads(threads);
      for (const int64_t m : {1, 2, 7, 16, 64, 129}) {
        for (const int64_t first : {int64_t{0}, 300 - m}) {
          const std::string at = fmt::format("{} {} {} {}", to_string(dtype), threads, m, first);
          CAPTURE(at);
          CHECK(same_bits(linear(slice(rows, 0, first, first + m), w, bias),
                          slice(whole, 0, first, first + m)));
        }
      }
      CHECK(same_bits(linear(select(rows, 0, 5), w, bias), select(whole, 0, 5)));
    }
  }
  omp_set_num_threads(before);
}

TEST_CASE("linear: weight gradients add blocks of 1,024 rows in order, at any number of threads") {
  const int64_t rows = 2500, in = 20, out = 33;
  const Tensor x = random({rows, in}, 1), w = random({out, in}, 2), bias = random({out}, 3);
  const Tensor dy = random({rows, out}, 4);
  const auto gradients = [&](int64_t begin, int64_t end) {
    const Tensor w_ = w.clone().set_requires_grad(true), b_ = bias.clone().set_requires_grad(true);
    const Tensor y = linear(slice(x, 0, begin, end), w_, b_);
    return grad({y}, {w_, b_}, {.dy = {slice(dy, 0, begin, end)}});
  };
  const int before = omp_get_max_threads();
  const Tensors whole = gradients(0, rows);
  for (const int threads : {1, 2, 3}) {
    omp_set_num_threads(threads);
    const Tensors again = gradients(0, rows);
    CHECK(same_bits(whole[0], again[0]));
    CHECK(same_bits(whole[1], again[1]));
  }
  omp_set_num_threads(before);
  Tensor dw = gradients(0, 1024)[0];
  for (const int64_t begin : {1024, 2048}) {
    dw = detail::accumulate(dw, gradients(begin, std::min(rows, begin + 1024))[0]);
  }
  CHECK(same_bits(whole[0], dw));
}
