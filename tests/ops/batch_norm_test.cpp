#include <doctest/doctest.h>
#include <ops/images.h>
#include <tenet/core/autograd.h>
#include <tenet/core/parallel.h>
#include <tenet/ops/batch_norm.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/stream.h>
#include <tenet/ops/views.h>

using namespace tenet;
using namespace tenet::test;

namespace {

constexpr double epsilon = 1e-3;

/// Mean and biased variance of each channel.
Arrays statistics(const Array& x) {
  const int64_t channels = x.shape[1], count = x.shape.numel() / channels;
  Array mean = zeros_array({channels}), variance = zeros_array({channels});
  const auto channel = [&](Array& of, int64_t i) -> double& {
    return of.values[static_cast<size_t>(index_of(x.shape, i)[1])];
  };
  const auto n = static_cast<double>(count);
  for (int64_t i = 0; i < x.shape.numel(); ++i) {
    channel(mean, i) += x.values[static_cast<size_t>(i)] / n;
  }
  for (int64_t i = 0; i < x.shape.numel(); ++i) {
    channel(variance, i) += std::pow(x.values[static_cast<size_t>(i)] - channel(mean, i), 2) / n;
  }
  return {mean, variance};
}

Array normalized(const Array& x, const Array& mean, const Array& variance, const Array* weight,
                 const Array* bias) {
  return array_of(x.shape, [&](const Index& index) {
    const auto c = static_cast<size_t>(index[1]);
    const double xhat = (at(x, index) - mean.values[c]) / std::sqrt(variance.values[c] + epsilon);
    return xhat * (weight ? weight->values[c] : 1) + (bias ? bias->values[c] : 0);
  });
}

OpReference training_reference(bool has_weight, bool has_bias) {
  return [=](const Arrays& x) {
    if (x[0].shape.numel() == 0) return x[0];
    const Arrays s = statistics(x[0]);
    return normalized(x[0], s[0], s[1], has_weight ? &x[1] : nullptr,
                      has_bias ? &x.back() : nullptr);
  };
}

std::vector<OpError> errors() {
  const Tensor x = zeros({2, 3, 4, 4}), stream = encode(x), c = ones({3}), wrong = ones({4});
  return {{[=] { batch_norm(zeros({3})); }, "batch_norm: x has shape (3,), not (N, C, ...)"},
          {[=] {
             batch_norm(zeros({1, 3, 1, 1}));
           },
           "batch_norm: x (1, 3, 1, 1) has one value per channel, training needs more"},
          {[=] { batch_norm(x, {.weight = wrong}); },
           "batch_norm: weight has shape (4,), x (2, 3, 4, 4) has 3 channels"},
          {[=] { batch_norm(x, {.bias = wrong}); },
           "batch_norm: bias has shape (4,), x (2, 3, 4, 4) has 3 channels"},
          {[=] { batch_norm(x, wrong, c); },
           "batch_norm: mean has shape (4,), x (2, 3, 4, 4) has 3 channels"},
          {[=] { batch_norm(x, c, wrong); },
           "batch_norm: variance has shape (4,), x (2, 3, 4, 4) has 3 channels"},
          {[=] { batch_norm(x, {.epsilon = -1}); },
           "batch_norm: epsilon is -1; it must not be negative"},
          {[=] { batch_norm(x.to(DType::i64)); }, "batch_norm: dtype i64 is not supported"},
          {[=] { batch_norm(stream); }, "batch_norm: fixed-point stream; decode() it first"}};
}

OpCase row() {
  OpCase c{.op = "batch_norm"};
  c.types = real_types;
  c.tolerance = 5e-6;
  c.tolerance_f16 = 4e-3;
  c.tolerance_bf16 = 3e-2;
  return c;
}

}  // namespace

TEST_CASE("op table: batch_norm in training") {
  OpCase c = row();
  SUBCASE("with weight and bias") {
    c.inputs = {{.shape = {2, 3, 2, 3}}, {.shape = {3}}, {.shape = {3}}};
    c.function = [](const Tensors& t) { return batch_norm(t[0], {t[1], t[2], epsilon}).y; };
    c.reference = training_reference(true, true);
    c.shapes = {{{4, 2}, {2}, {2}},       {{3, 2, 3}, {2}, {2}},    {{0, 3, 2, 2}, {3}, {3}},
                {{2, 0, 2, 2}, {0}, {0}}, {{2, 1, 1, 1}, {1}, {1}}, {{1, 2, 1, 7}, {2}, {2}}};
    c.errors = errors();
  }
  SUBCASE("bare") {
    c.inputs = {{.shape = {3, 2, 2, 2}}};
    c.function = [](const Tensors& t) { return batch_norm(t[0], {.epsilon = epsilon}).y; };
    c.reference = training_reference(false, false);
  }
  SUBCASE("weight only") {
    c.inputs = {{.shape = {3, 2, 2, 2}}, {.shape = {2}}};
    c.function = [](const Tensors& t) {
      return batch_norm(t[0], {.weight = t[1], .epsilon = epsilon}).y;
    };
    c.reference = training_reference(true, false);
  }
  SUBCASE("bias only") {
    c.inputs = {{.shape = {3, 2, 2, 2}}, {.shape = {2}}};
    c.function = [](const Tensors& t) {
      return batch_norm(t[0], {.bias = t[1], .epsilon = epsilon}).y;
    };
    c.reference = training_reference(false, true);
  }
  run(c);
}

TEST_CASE("op table: batch_norm with given statistics") {
  OpCase c = row();
  c.inputs = {{.shape = {2, 3, 2, 3}}, {.shape = {3}}, {.shape = {3}, .low = 0.5}};
  c.shapes = {};
  SUBCASE("with weight and bias") {
    c.inputs.resize(5, {.shape = {3}});
    c.function = [](const Tensors& t) {
      return batch_norm(t[0], t[1], t[2], {t[3], t[4], epsilon});
    };
    c.reference = [](const Arrays& x) { return normalized(x[0], x[1], x[2], &x[3], &x[4]); };
    c.shapes = {{{0, 3, 2, 2}, {3}, {3}, {3}, {3}},
                {{1, 1, 1, 1}, {1}, {1}, {1}, {1}},
                {{4, 2}, {2}, {2}, {2}, {2}}};
  }
  SUBCASE("of constants, with a bias") {
    c.inputs = {{.shape = {3}}};
    const Array x = Dice(3).array({2, 3, 2, 3}), mean = Dice(4).array({3});
    const Array variance{{3}, {0.5, 1, 2}};
    c.function = [=](const Tensors& t) {
      const auto constant = [&](const Array& a) {
        return tensor_of(a, t[0].dtype()).to(t[0].device());
      };
      return batch_norm(constant(x), constant(mean), constant(variance), {{}, t[0], epsilon});
    };
    c.reference = [=](const Arrays& b) { return normalized(x, mean, variance, nullptr, &b[0]); };
  }
  SUBCASE("bare") {
    c.function = [](const Tensors& t) {
      return batch_norm(t[0], t[1], t[2], {.epsilon = epsilon});
    };
    c.reference = [](const Arrays& x) { return normalized(x[0], x[1], x[2], nullptr, nullptr); };
  }
  run(c);
}

TEST_CASE("batch_norm is the definition's on random layouts, and reports its statistics") {
  Dice dice(5);
  for (int count = 0; count < 100; ++count) {
    Shape shape{dice(1, 5), dice(1, 4), dice(2, 6), dice(1, 40)};
    const Array x = dice.array(shape), w = dice.array({shape[1]}), b = dice.array({shape[1]});
    const Arrays s = statistics(x);
    const BatchNormOutput got = batch_norm(tensor_of(x), {tensor_of(w), tensor_of(b), epsilon});
    CHECK(distance(got.y, normalized(x, s[0], s[1], &w, &b)) <= 1e-12);
    CHECK(distance(got.mean, s[0]) <= 1e-12);
    CHECK(distance(got.variance, s[1]) <= 1e-12);
    CHECK_FALSE(got.mean.requires_grad());
  }
  const BatchNormOutput half = batch_norm(random({4, 2, 8, 8}, 1, DType::bf16));
  CHECK(half.y.dtype() == DType::bf16);
  CHECK(half.mean.dtype() == DType::f32);
  CHECK(batch_norm(random({4, 2, 8, 8}, 1, DType::bf16), {.weight = ones({2})}).y.dtype() ==
        DType::f32);
}

TEST_CASE("batch_norm: the fused gradient is the recorded one, for any number of threads") {
  const int threads = num_threads();
  Tensor x = random({9, 5, 11, 13}, 1).set_requires_grad(true);
  Tensor w = random({5}, 2).set_requires_grad(true), b = random({5}, 3).set_requires_grad(true);
  const Tensor dy = random(x.shape(), 4);
  const auto gradients = [&](DType dtype, bool recorded, int count) {
    set_num_threads(count);
    const Tensor y = batch_norm(x.to(dtype), {w.to(dtype), b.to(dtype)}).y;
    return grad({y}, {x, w, b}, {.dy = {dy.to(dtype)}, .create_graph = recorded});
  };
  const Tensors exact = gradients(DType::f64, true, 1), one = gradients(DType::f32, false, 1),
                four = gradients(DType::f32, false, 4);
  set_num_threads(threads);
  for (size_t i = 0; i < 3; ++i) {
    CHECK(same_bits(one[i], four[i]));
    CHECK(distance(one[i], {exact[i].shape(), exact[i].to_vector<double>()}) <= 1e-5);
  }
}

TEST_CASE("batch_norm with given statistics: an image's result does not depend on the others") {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const Tensor x = random({6, 5, 9, 7}, 1, dtype), mean = random({5}, 2);
    const Tensor variance = full({5}, 0.7), w = random({5}, 3, dtype), b = random({5}, 4, dtype);
    const Tensor all = batch_norm(x, mean, variance, {w, b});
    for (const int64_t i : {0, 3, 5}) {
      CHECK(same_bits(batch_norm(slice(x, 0, i, i + 1), mean, variance, {w, b}),
                      slice(all, 0, i, i + 1)));
    }
  }
}

TEST_CASE("batch_norm: statistics survive a large mean") {
  const Tensor x = from_vector<float>({10000, 10001, 10002, 10003}, {4, 1});
  const BatchNormOutput got = batch_norm(x, {.epsilon = 0});
  CHECK(got.y.to_vector<float>()[0] == doctest::Approx(-1.3416408));
  CHECK(got.variance.item<float>() == doctest::Approx(1.25));
}
