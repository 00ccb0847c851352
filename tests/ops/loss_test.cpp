#include <doctest/doctest.h>
#include <ops/array.h>
#include <ops/op_case.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/index.h>
#include <tenet/ops/loss.h>
#include <tenet/ops/reduce.h>
#include <tenet/ops/softmax.h>
#include <tenet/ops/stream.h>

#include <cmath>

using namespace tenet;
using namespace tenet::test;

namespace {

constexpr Reduction reductions[] = {Reduction::mean, Reduction::sum, Reduction::none};

/// Mean, sum and the losses themselves.
Arrays reduced(const Array& losses) {
  double total = 0;
  for (const double loss : losses.values) total += loss;
  const double count = static_cast<double>(losses.values.size());
  return {Array{{}, {total / count}}, Array{{}, {total}}, losses};
}

using Loss = std::function<Tensor(const Tensor&, const Tensor&, Reduction)>;

/// A row for a loss of each element, of two tensors of one shape.
OpCase elementwise(OpCase row, Loss loss, double (*reference)(double, double)) {
  if (row.inputs.empty()) {
    row.inputs = {{.shape = {3, 5}}, {.shape = {3, 5}, .low = -1, .high = 3}};
  }
  row.function = [loss](const Tensors& x) {
    Tensors y;
    for (const Reduction reduction : reductions) y.push_back(loss(x[0], x[1], reduction));
    return y;
  };
  row.reference = [reference](const Arrays& x) {
    return reduced(each(std::function<double(double, double)>(reference))(x)[0]);
  };
  row.shapes = {{{}, {}}, {{1}, {1}}, {{2, 1, 3}, {2, 1, 3}}};
  const Tensor stream = encode(zeros({2})), x = zeros({4, 1});
  row.errors.push_back(
      {[=] { loss(x, zeros({4}), Reduction::mean); },
       row.op + ": prediction (4, 1) and target (4,) differ in shape; reshape one"});
  row.errors.push_back({[=] { loss(stream, zeros({2}), Reduction::mean); },
                        row.op + ": fixed-point stream; decode() it first"});
  return row;
}

double huber_of(double a, double b, double delta) {
  const double d = std::abs(a - b);
  return d <= delta ? d * d / 2 : delta * (d - delta / 2);
}

double log_sigmoid_of(double x) { return std::min(x, 0.0) - std::log1p(std::exp(-std::abs(x))); }

const Tensor& positives() {
  static const Tensor p = from_vector<double>({0.5, 2, 1, 3, 4}, {5});
  return p;
}

OpInput classes(Shape shape, std::vector<double> values) {
  return {
      .shape = shape, .dtype = DType::i64, .values = std::move(values), .differentiable = false};
}

}  // namespace

TEST_CASE("op table: losses of differences") {
  run(elementwise({.op = "mse_loss"}, mse_loss,
                  [](double a, double b) { return (a - b) * (a - b); }));
  run(elementwise({.op = "l1_loss"}, l1_loss, [](double a, double b) { return std::abs(a - b); }));
  OpCase huber{.op = "huber_loss"};
  huber.errors = {{[] { huber_loss(zeros({1}), zeros({1}), 0); },
                   "huber_loss: delta is 0; it must be positive"}};
  run(elementwise(
      huber,
      [](const Tensor& a, const Tensor& b, Reduction r) { return huber_loss(a, b, 0.75, r); },
      [](double a, double b) { return huber_of(a, b, 0.75); }));
  OpCase smooth{.op = "smooth_l1_loss"};
  smooth.errors = {{[] { smooth_l1_loss(zeros({1}), zeros({1}), -1); },
                    "smooth_l1_loss: beta is -1; it must not be negative"}};
  run(elementwise(
      smooth,
      [](const Tensor& a, const Tensor& b, Reduction r) { return smooth_l1_loss(a, b, 0.75, r); },
      [](double a, double b) { return huber_of(a, b, 0.75) / 0.75; }));
  CHECK(smooth_l1_loss(full({2}, 3), zeros({2}), 0).item<double>() == 3);
}

TEST_CASE("op table: binary_cross_entropy_with_logits") {
  OpCase row{.op = "binary_cross_entropy_with_logits"};
  row.inputs = {{.shape = {3, 5}, .low = -4, .high = 4}, {.shape = {3, 5}, .low = 0, .high = 1}};
  run(elementwise(
      row,
      [](const Tensor& x, const Tensor& t, Reduction r) {
        return binary_cross_entropy_with_logits(x, t, {.reduction = r});
      },
      [](double x, double t) { return -t * log_sigmoid_of(x) - (1 - t) * log_sigmoid_of(-x); }));
  row = elementwise(
      row,
      [](const Tensor& x, const Tensor& t, Reduction r) {
        const Tensor p = positives().to(x.device());
        return binary_cross_entropy_with_logits(
            x, t, {.weight = p * 0.5, .pos_weight = p, .reduction = r});
      },
      [](double, double) { return 0.0; });
  row.reference = [](const Arrays& x) {
    const std::vector<double> p = positives().to_vector<double>();
    return reduced(array_of(x[0].shape, [&](const Index& index) {
      const double logit = at(x[0], index), t = at(x[1], index);
      const double w = p[static_cast<size_t>(index.back())];
      return -0.5 * w * (w * t * log_sigmoid_of(logit) + (1 - t) * log_sigmoid_of(-logit));
    }));
  };
  row.shapes = {{{2, 1, 5}, {2, 1, 5}}};
  row.errors = {
      {[] {
         binary_cross_entropy_with_logits(zeros({2, 3}), zeros({2, 3}), {.pos_weight = zeros({2})});
       },
       "binary_cross_entropy_with_logits: pos_weight (2,) does not broadcast to logits "
       "(2, 3)"}};
  run(row);
}

TEST_CASE("binary_cross_entropy_with_logits keeps its digits far from 0") {
  const Tensor x = from_vector<float>({-200, -12, 12, 200}, {4});
  const auto at_target = [&](double t) {
    return binary_cross_entropy_with_logits(x, full({4}, t), {.reduction = Reduction::none})
        .to_vector<float>();
  };
  CHECK(at_target(0)[1] == doctest::Approx(std::log1p(std::exp(-12.0))).epsilon(1e-6));
  CHECK(at_target(0)[3] == 200);
  CHECK(at_target(1)[0] == 200);
  CHECK(at_target(1)[2] == doctest::Approx(std::log1p(std::exp(-12.0))).epsilon(1e-6));
}

TEST_CASE("op table: kl_div") {
  OpCase row{.op = "kl_div"};
  row.inputs = {{.shape = {2, 3, 4}, .low = -3, .high = -0.1},
                {.shape = {2, 3, 4}, .low = 0.05, .high = 0.9}};
  row.function = [](const Tensors& x) {
    Tensors y;
    for (const Reduction r : reductions) y.push_back(kl_div(x[0], x[1], {.reduction = r}));
    y.push_back(kl_div(x[0], x[1], {.log_target = true}));
    return y;
  };
  row.reference = [](const Arrays& x) {
    const auto divergence = [&](bool logs) {
      Array result{x[0].shape, {}};
      result.shape.erase(result.shape.dim() - 1);
      const auto width = static_cast<size_t>(x[0].shape.back());
      for (size_t i = 0; i < x[0].values.size(); ++i) {
        if (i % width == 0) result.values.push_back(0);
        const double t = x[1].values[i], p = logs ? std::exp(t) : t, log_p = logs ? t : std::log(t);
        result.values.back() += p * (log_p - x[0].values[i]);
      }
      return result;
    };
    Arrays y = reduced(divergence(false));
    y.push_back(reduced(divergence(true))[0]);
    return y;
  };
  row.shapes = {{{4}, {4}}, {{1, 1}, {1, 1}}};
  row.errors = {{[] {
                   kl_div(zeros({2, 3}), zeros({3}));
                 },
                 "kl_div: prediction (2, 3) and target (3,) differ in shape; reshape one"},
                {[] { kl_div(scalar(1.0), scalar(1.0)); }, "kl_div: prediction has no axis"}};
  run(row);
  const Tensor p = from_vector<float>({0, 1, 0}, {1, 3});
  const Tensor log_q = from_vector<float>({-INFINITY, 0, -1}, {1, 3});
  CHECK(kl_div(log_q, p).item<float>() == 0);
}

TEST_CASE("op table: nll_loss") {
  static const Tensor weight = from_vector<double>({1, 0.5, 2, 3}, {4});
  OpCase row{.op = "nll_loss"};
  row.inputs = {{.shape = {2, 3, 4}, .low = -3, .high = 0}, classes({2, 3}, {0, 3, -100, 2, 2, 1})};
  row.function = [](const Tensors& x) {
    return Tensors{nll_loss(x[0], x[1]), nll_loss(x[0], x[1], {.reduction = Reduction::sum}),
                   nll_loss(x[0], x[1], {.reduction = Reduction::none}),
                   nll_loss(x[0], x[1], {.weight = weight.to(x[0].device())})};
  };
  row.reference = [](const Arrays& x) {
    const std::vector<double> w = weight.to_vector<double>();
    double total = 0, count = 0, weighted = 0, weights = 0;
    Array losses{x[1].shape, {}};
    for (size_t i = 0; i < x[1].values.size(); ++i) {
      const double target = x[1].values[i];
      const bool counts = target != -100;
      const auto c = static_cast<size_t>(counts ? target : 0);
      losses.values.push_back(counts ? -x[0].values[4 * i + c] : 0);
      total += losses.values.back();
      count += counts;
      weighted += w[c] * losses.values.back();
      weights += counts ? w[c] : 0;
    }
    return Arrays{Array{{}, {total / std::max(count, 1.0)}}, Array{{}, {total}}, losses,
                  Array{{}, {weighted / (weights == 0 ? 1 : weights)}}};
  };
  row.shapes = {{{0, 4}, {0}}, {{1, 4}, {1}}, {{4}, {}}};
  const Tensor x = zeros({2, 3});
  row.errors = {
      {[=] { nll_loss(x, zeros({3}, {DType::i64})); },
       "nll_loss: log_p (2, 3) need targets (2,), not (3,)"},
      {[=] { nll_loss(x, arange(2, 4)); }, "nll_loss: index 3 at position 1 is outside 0..2"},
      {[=] { nll_loss(x, arange(2), {.weight = zeros({4})}); },
       "nll_loss: weight has shape (4,), there are 3 classes"},
      {[=] { nll_loss(x, arange(2), {.weight = arange(3)}); },
       "nll_loss: weight is i64; it must be floating-point"},
      {[] { nll_loss(scalar(1.0), scalar(1)); }, "nll_loss: log_p has no axis"}};
  run(row);
  Generator generator(2);
  const Tensor logits = randn({5, 4}, generator, {.dtype = DType::f64});
  const Tensor t = from_vector<int64_t>({3, 0, 1, 1, 2}, {5});
  CHECK(nll_loss(log_softmax(logits), t, {.weight = weight}).item<double>() ==
        doctest::Approx(cross_entropy(logits, t, {.weight = weight}).item<double>()));
}

TEST_CASE("losses of half types are f32") {
  const Tensor x = ones({3}, {DType::bf16}), t = zeros({3}, {DType::bf16});
  CHECK(mse_loss(x, t).dtype() == DType::f32);
  CHECK(binary_cross_entropy_with_logits(x, t.to(DType::boolean)).dtype() == DType::f32);
}
