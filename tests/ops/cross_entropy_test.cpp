#include <doctest/doctest.h>
#include <gradcheck.h>
#include <ops/array.h>
#include <ops/op_case.h>
#include <tenet/core/parallel.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/cross_entropy.h>
#include <tenet/ops/matmul.h>
#include <tenet/ops/stream.h>
#include <tenet/ops/views.h>

#include <cmath>
#include <numeric>

using namespace tenet;
using namespace tenet::test;

namespace {

constexpr double ignored = -100;

double loss_of(const std::vector<double>& logits, double target) {
  if (target == ignored) return 0;
  double total = 0;
  for (const double value : logits) total += std::exp(value);
  return std::log(total) - logits[static_cast<size_t>(target)];
}

/// Losses of logits (rows, classes), row by row.
std::vector<double> losses_of(const Array& logits, const Array& targets) {
  const auto classes = static_cast<size_t>(logits.shape.back());
  std::vector<double> losses;
  for (size_t row = 0; row < targets.values.size(); ++row) {
    const auto first = logits.values.begin() + static_cast<std::ptrdiff_t>(row * classes);
    losses.push_back(
        loss_of({first, first + static_cast<std::ptrdiff_t>(classes)}, targets.values[row]));
  }
  return losses;
}

Arrays reduced(const std::vector<double>& losses, const Array& targets) {
  double total = 0, count = 0;
  for (const double loss : losses) total += loss;
  for (const double target : targets.values) count += target != ignored ? 1 : 0;
  return {Array{{}, {total / std::max(count, 1.0)}}, Array{{}, {total}}};
}

Array linear_of(const Array& h, const Array& w, const Array& b) {
  Shape shape = h.shape;
  shape[shape.dim() - 1] = w.shape[0];
  return array_of(shape, [&](Index index) {
    const int64_t v = index.back();
    double y = b.values[static_cast<size_t>(v)];
    for (int64_t d = 0; d < w.shape[1]; ++d) {
      index.back() = d;
      y += at(h, index) * at(w, {v, d});
    }
    return y;
  });
}

OpInput target_input(Shape shape, std::vector<double> values) {
  return {
      .shape = shape, .dtype = DType::i64, .values = std::move(values), .differentiable = false};
}

bool same(const Tensor& a, const Tensor& b) {
  return a.to_vector<double>() == b.to_vector<double>();
}

}  // namespace

TEST_CASE("op table: cross_entropy") {
  const Tensor x = zeros({2, 3, 5}), t = zeros({2, 3}, {DType::i64}), stream = encode(x);
  OpCase row{.op = "cross_entropy"};
  row.inputs = {{.shape = {2, 3, 5}, .low = -3, .high = 3},
                target_input({2, 3}, {0, 4, -100, 2, 2, 1})};
  row.function = [](const Tensors& a) {
    return Tensors{cross_entropy(a[0], a[1]),
                   cross_entropy(a[0], a[1], {.reduction = Reduction::sum}),
                   cross_entropy(a[0], a[1], {.reduction = Reduction::none})};
  };
  row.reference = [](const Arrays& a) {
    Arrays y = reduced(losses_of(a[0], a[1]), a[1]);
    y.push_back({a[1].shape, losses_of(a[0], a[1])});
    return y;
  };
  row.shapes = {{{0, 5}, {0}}, {{1, 5}, {1}}, {{5}, {}}, {{3, 37}, {3}}};
  row.errors = {
      {[=] { cross_entropy(x, zeros({2}, {DType::i64})); },
       "cross_entropy: logits (2, 3, 5) need targets (2, 3), not (2,)"},
      {[=] {
         cross_entropy(x, zeros({2, 3}));
       },
       "cross_entropy: targets are f32; i64 or i32 is needed"},
      {[=] {
         cross_entropy(zeros({3, 5}), arange(4, 7));
       },
       "cross_entropy: index 5 at position 1 is outside 0..4"},
      {[=] {
         cross_entropy(x, t, {.ignore_index = 0}).item<float>();
         cross_entropy(scalar(1.0), t);
       },
       "cross_entropy: logits has no axis"},
      {[=] { cross_entropy(stream, t); }, "cross_entropy: fixed-point stream; decode() it first"}};
  run(row);
  row.types = {DType::bf16, DType::f16};
  row.result = DType::f32;
  row.shapes = {};
  row.errors = {};
  run(row);
}

TEST_CASE("op table: cross_entropy with class weights and label smoothing") {
  static const Tensor weight = from_vector<double>({1, 0.5, 2, 3, 0.25}, {5});
  const Tensor x = zeros({2, 5}), t = zeros({2}, {DType::i64});
  OpCase row{.op = "cross_entropy"};
  row.inputs = {{.shape = {2, 3, 5}, .low = -3, .high = 3},
                target_input({2, 3}, {0, 4, -100, 2, 2, 1})};
  row.function = [](const Tensors& a) {
    const Tensor w = weight.to(a[0].device());
    return Tensors{
        cross_entropy(a[0], a[1], {.weight = w}),
        cross_entropy(a[0], a[1], {.label_smoothing = 0.1}),
        cross_entropy(a[0], a[1], {.weight = w, .label_smoothing = 0.3}),
        cross_entropy(a[0], a[1],
                      {.reduction = Reduction::none, .weight = w, .label_smoothing = 0.3}),
        cross_entropy(a[0], a[1], {.reduction = Reduction::sum, .label_smoothing = 1})};
  };
  // Each row's loss is that of the distribution with 1 - s at the target and s / V everywhere.
  row.reference = [](const Arrays& a) {
    const std::vector<double> w = weight.to_vector<double>(), even(5, 1.0);
    const auto losses = [&](double s, const std::vector<double>& of_class) {
      Array result{a[1].shape, {}};
      for (size_t row = 0; row < a[1].values.size(); ++row) {
        const double target = a[1].values[row];
        const auto first = a[0].values.begin() + static_cast<std::ptrdiff_t>(row * 5);
        const std::vector<double> logits(first, first + 5);
        double loss = 0;
        for (size_t c = 0; c < 5 && target != ignored; ++c) {
          const double share = s / 5 + (static_cast<double>(c) == target ? 1 - s : 0);
          loss += share * of_class[c] * loss_of(logits, static_cast<double>(c));
        }
        result.values.push_back(loss);
      }
      return result;
    };
    const auto divided = [&](const Array& each, const std::vector<double>& of_class) {
      double total = 0, count = 0;
      for (size_t i = 0; i < each.values.size(); ++i) {
        total += each.values[i];
        const double target = a[1].values[i];
        if (target != ignored) count += of_class[static_cast<size_t>(target)];
      }
      return Array{{}, {total / (count == 0 ? 1 : count)}};
    };
    const Array spread = losses(1, even);
    return Arrays{divided(losses(0, w), w), divided(losses(0.1, even), even),
                  divided(losses(0.3, w), w), losses(0.3, w),
                  Array{{}, {std::accumulate(spread.values.begin(), spread.values.end(), 0.0)}}};
  };
  row.shapes = {{{0, 5}, {0}}, {{1, 5}, {1}}, {{5}, {}}};
  row.errors = {{[=] { cross_entropy(x, t, {.label_smoothing = 1.5}); },
                 "cross_entropy: label_smoothing is 1.5; it must be from 0 to 1"},
                {[=] { cross_entropy(x, t, {.weight = zeros({4})}); },
                 "cross_entropy: weight has shape (4,), there are 5 classes"}};
  run(row);
}

TEST_CASE("cross_entropy: stable, and 0 where nothing counts") {
  const Tensor x = from_vector<float>({1e4f, -1e4f, 3e4f, -INFINITY, 2, 2}, {2, 3});
  const std::vector<float> y =
      cross_entropy(x, from_vector<int64_t>({0, 1}, {2}), {.reduction = Reduction::none})
          .to_vector<float>();
  CHECK(y[0] == 2e4f);
  CHECK(y[1] == doctest::Approx(std::log(2.0)));
  Tensor leaf = ones({2, 3}).set_requires_grad(true);
  const Tensor loss = cross_entropy(leaf, full({2}, 7, {DType::i64}), {.ignore_index = 7});
  CHECK(loss.item<float>() == 0);
  CHECK(grad({loss}, {leaf})[0].to_vector<float>() == std::vector<float>(6, 0.0f));
}

TEST_CASE("a position's loss and gradient do not depend on its neighbours or threads") {
  Generator generator(23);
  Tensor x = randn({300, 259}, generator).set_requires_grad(true);
  const Tensor t = randint({300}, 0, 259, generator);
  const CrossEntropyOptions none{.reduction = Reduction::none};
  const int threads = num_threads();
  const Tensor all = cross_entropy(x, t, none), dx = grad({all}, {x}, {.dy = {ones({300})}})[0];
  for (const int count : {1, 3}) {
    set_num_threads(count);
    const Tensor y = cross_entropy(x, t, none);
    CHECK(same(y, all));
    CHECK(same(grad({y}, {x}, {.dy = {ones({300})}})[0], dx));
    CHECK(same(cross_entropy(slice(x, 0, 7, 9), slice(t, 0, 7, 9), none), slice(all, 0, 7, 9)));
  }
  set_num_threads(threads);
}

TEST_CASE("op table: linear_cross_entropy") {
  const Tensor h = zeros({2, 3, 4}), w = zeros({5, 4}), t = zeros({2, 3}, {DType::i64});
  OpCase row{.op = "linear_cross_entropy"};
  row.inputs = {{.shape = {2, 3, 4}},
                {.shape = {5, 4}},
                {.shape = {5}},
                target_input({2, 3}, {0, 4, -100, 2, 2, 1})};
  row.function = [](const Tensors& a) {
    return Tensors{linear_cross_entropy(a[0], a[1], a[2], a[3], {.chunk_count = 4}),
                   linear_cross_entropy(a[0], a[1], a[2], a[3],
                                        {.chunk_rows = 4, .reduction = Reduction::sum})};
  };
  row.reference = [](const Arrays& a) {
    return reduced(losses_of(linear_of(a[0], a[1], a[2]), a[3]), a[3]);
  };
  row.shapes = {{{0, 4}, {5, 4}, {5}, {0}}, {{4}, {5, 4}, {5}, {}}};
  row.tolerance = 3e-6;
  row.twice = false;
  row.errors = {
      {[=] {
         linear_cross_entropy(h, zeros({5, 3}), {}, t);
       },
       "linear_cross_entropy: hidden (2, 3, 4) and weight (5, 3) do not fit; (..., D) and (V, D) "
       "are needed"},
      {[=] { linear_cross_entropy(h, w, zeros({4}), t); },
       "linear_cross_entropy: bias has shape (4,), weight (5, 4) gives 5 classes"},
      {[=] {
         linear_cross_entropy(h, w, {}, full({2, 3}, 5, {DType::i64}));
       },
       "linear_cross_entropy: index 5 at position 0 is outside 0..4"},
      {[=] { linear_cross_entropy(h, w, {}, t, {.chunk_rows = 2, .chunk_count = 2}); },
       "linear_cross_entropy: chunk_rows 2 and chunk_count 2 were both given; give one"},
      {[=] { linear_cross_entropy(h, w, {}, t, {.reduction = Reduction::none}); },
       "linear_cross_entropy: reduction none is not supported; use cross_entropy of linear"},
      {[=] {
         Tensor leaf = ones({2, 3, 4}).set_requires_grad(true);
         grad({linear_cross_entropy(leaf, w, {}, t)}, {leaf}, {.create_graph = true});
       },
       "linear_cross_entropy: has no second derivative; use it without create_graph"}};
  run(row);
}

TEST_CASE(
    "linear_cross_entropy: the loss has the same bits for any chunk size, and those of its parts") {
  Generator generator(29);
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const Tensor h = randn({1300, 64}, generator).to(dtype).set_requires_grad(true);
    const Tensor w = randn({258, 64}, generator).to(dtype).set_requires_grad(true);
    const Tensor t = randint({1300}, 0, 258, generator);
    const auto loss = [&](LinearCrossEntropyOptions options) {
      return linear_cross_entropy(h, w, {}, t, options);
    };
    const Tensor whole = loss({.chunk_count = 1});
    const Tensors gradients = grad({whole}, {h, w});
    for (const int64_t rows : {1, 7, 64, 1000, 5000}) {
      if (rows == 1 && dtype == DType::bf16) continue;  // slow, and 7 covers it
      const Tensor y = loss({.chunk_rows = rows});
      CHECK(same(y, whole));
      const Tensors d = grad({y}, {h, w});
      CHECK(same(d[0], gradients[0]));
      const std::vector<double> a = d[1].to_vector<double>(), e = gradients[1].to_vector<double>();
      double worst = 0;
      for (size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::abs(a[i] - e[i]));
      CHECK(worst <= (dtype == DType::f32 ? 1e-7 : 1e-3));
    }
    CHECK(same(loss({.chunk_count = 3}), whole));
    if (dtype != DType::f32) continue;
    CHECK(same(cross_entropy(linear(h, w), t), whole));
    double sum = 0;  // of the parts, one after the other
    const Tensor parts = cross_entropy(linear(h, w), t, {.reduction = Reduction::none});
    for (const double part : parts.to_vector<double>()) sum += part;
    CHECK(whole.item<float>() == static_cast<float>(sum) / 1300);
  }
}

TEST_CASE("linear_cross_entropy holds the logits of one chunk") {
  Generator generator(31);
  const Tensor h = randn({4096, 16}, generator).set_requires_grad(true);
  const Tensor w = randn({1000, 16}, generator).set_requires_grad(true);
  const Tensor t = randint({4096}, 0, 1000, generator);
  const auto peak = [&](int64_t rows) {
    const int64_t before = memory::stats(Device::cpu(), memory::Category::working).live;
    memory::reset_peak();
    backward(linear_cross_entropy(h, w, {}, t, {.chunk_rows = rows}));
    h.clear_grad();
    w.clear_grad();
    return memory::stats(Device::cpu(), memory::Category::working).peak - before;
  };
  const int64_t all_logits = 4096 * 1000 * 4;
  CHECK(peak(4096) >= all_logits);
  CHECK(peak(256) <= all_logits / 4);
}
