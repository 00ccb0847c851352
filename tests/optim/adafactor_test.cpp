#include "fixed_gradients.h"

#include <tenet/optim/adafactor.h>

#include <numeric>

using namespace tenet;
using namespace tenet::test;

namespace {

double mean(const std::vector<double>& x) {
  return std::accumulate(x.begin(), x.end(), 0.0) / static_cast<double>(x.size());
}

double rms(std::vector<double> x) {
  for (double& value : x) value *= value;
  return std::sqrt(mean(x));
}

/// trax's Adafactor of October 2019 without momentum, written after its source, for a matrix (rows
/// > 1) or a vector.
struct Reference {
  optim::AdafactorOptions o;
  size_t groups, rows, columns;
  std::vector<double> w = {}, v_row = {}, v_col = {}, momentum = {};

  bool factored() const { return o.factored && rows > 1; }

  void step(const std::vector<double>& g, int64_t i) {
    const double decay_rate = 1 - std::pow(static_cast<double>(i) + 1, -o.decay_exponent);
    const double mixing = 1 - decay_rate;
    double update_scale = o.learning_rate;
    if (o.multiply_by_parameter_scale) update_scale *= std::max(rms(w), o.eps2);
    std::vector<double> y(g.size());
    if (factored()) {
      factored_update(g, decay_rate, mixing, y);
    } else {
      v_row.resize(g.size());
      for (size_t k = 0; k < g.size(); ++k) {
        v_row[k] = decay_rate * v_row[k] + mixing * (g[k] * g[k] + o.eps1);
        y[k] = g[k] / std::sqrt(v_row[k]);
      }
    }
    const double denominator = std::max(1.0, rms(y) / o.clipping_threshold);
    const double keep = 1 - o.weight_decay * (o.scale_weight_decay ? update_scale : 1);
    momentum.resize(g.size());
    for (size_t k = 0; k < g.size(); ++k) {
      momentum[k] = o.beta1 * momentum[k] + (1 - o.beta1) * update_scale * y[k] / denominator;
      w[k] = keep * w[k] - momentum[k];
    }
  }

  void factored_update(const std::vector<double>& g, double decay_rate, double mixing,
                       std::vector<double>& y) {
    v_row.resize(groups * rows);
    v_col.resize(groups * columns);
    const auto at = [&](size_t group, size_t r, size_t c) {
      return (group * rows + r) * columns + c;
    };
    const auto square = [&](size_t k) { return g[k] * g[k] + o.eps1; };
    for (size_t group = 0; group < groups; ++group) {
      for (size_t r = 0; r < rows; ++r) {
        double sum = 0;
        for (size_t c = 0; c < columns; ++c) sum += square(at(group, r, c));
        double& v = v_row[group * rows + r];
        v = decay_rate * v + mixing * sum / static_cast<double>(columns);
      }
      for (size_t c = 0; c < columns; ++c) {
        double sum = 0;
        for (size_t r = 0; r < rows; ++r) sum += square(at(group, r, c));
        double& v = v_col[group * columns + c];
        v = decay_rate * v + mixing * sum / static_cast<double>(rows);
      }
      double row_mean = 0;
      for (size_t r = 0; r < rows; ++r)
        row_mean += v_row[group * rows + r] / static_cast<double>(rows);
      for (size_t r = 0; r < rows; ++r) {
        for (size_t c = 0; c < columns; ++c) {
          y[at(group, r, c)] = g[at(group, r, c)] *
                               std::pow(v_row[group * rows + r] / row_mean, -0.5) *
                               std::pow(v_col[group * columns + c], -0.5);
        }
      }
    }
  }
};

double error_after(const Shape& shape, Reference reference, DType dtype, int steps) {
  const Tensor w = make_parameter(shape, 5, dtype);
  optim::Adafactor optimizer(std::vector{w}, reference.o);
  reference.w = w.to_vector<double>();
  double error = 0;
  for (int step = 0; step < steps; ++step) {
    set_gradients({w}, step);
    optimizer.step();
    reference.step(w.grad().to_vector<double>(), step);
    error = std::max(error, largest_error(w.to_vector<double>(), reference.w));
  }
  return error;
}

}  // namespace

TEST_CASE("adafactor follows the authors' code") {
  const optim::AdafactorOptions o{.learning_rate = 0.1};
  CHECK(error_after({7, 11}, {o, 1, 7, 11}, DType::f64, 10) < 1e-13);
  CHECK(error_after({7, 11}, {o, 1, 7, 11}, DType::f32, 10) < 1e-5);
  CHECK(error_after({700, 50}, {o, 1, 700, 50}, DType::f64, 3) < 1e-13);
  CHECK(error_after({1, 9, 1, 5}, {o, 1, 9, 5}, DType::f64, 5) < 1e-13);
  CHECK(error_after({3, 6, 4}, {o, 3, 6, 4}, DType::f64, 5) < 1e-13);
  CHECK(error_after({13}, {o, 1, 1, 13}, DType::f64, 10) < 1e-13);
  CHECK(error_after({1, 13}, {o, 1, 1, 13}, DType::f64, 5) < 1e-13);
}

TEST_CASE("adafactor's options") {
  optim::AdafactorOptions o{.learning_rate = 0.1, .factored = false};
  CHECK(error_after({7, 11}, {o, 1, 7, 11}, DType::f64, 5) < 1e-13);
  o = {.learning_rate = 0.1, .multiply_by_parameter_scale = false, .clipping_threshold = 0.3};
  CHECK(error_after({7, 11}, {o, 1, 7, 11}, DType::f64, 5) < 1e-13);
  o = {.learning_rate = 0.1, .decay_exponent = 0.5, .eps2 = 10, .weight_decay = 0.1};
  CHECK(error_after({7, 11}, {o, 1, 7, 11}, DType::f64, 5) < 1e-13);
}

TEST_CASE("adafactor with momentum, and with decay at the update's rate") {
  optim::AdafactorOptions o{.learning_rate = 0.1, .beta1 = 0.9};
  CHECK(error_after({7, 11}, {o, 1, 7, 11}, DType::f64, 5) < 1e-13);
  CHECK(error_after({13}, {o, 1, 1, 13}, DType::f64, 5) < 1e-13);
  o = {.learning_rate = 0.1, .weight_decay = 0.1, .scale_weight_decay = true};
  CHECK(error_after({3, 6, 4}, {o, 3, 6, 4}, DType::f64, 5) < 1e-13);
  CHECK_THROWS_WITH_AS(optim::Adafactor(std::vector{make_parameter({2}, 1)}, {.beta1 = 1}),
                       "adafactor: beta1 is 1; it must lie in [0, 1)", Error);
}

TEST_CASE("adafactor keeps rows and columns instead of second moments") {
  const Tensor w = make_parameter({30, 40}, 1), b = make_parameter({6}, 2);
  const auto state = optim::Adafactor({{{"w", w}, {"b", b}}}).state();
  CHECK(state.size() == 4);
  CHECK(state.at("w.second_moment_row").shape() == Shape{1, 30});
  CHECK(state.at("w.second_moment_column").shape() == Shape{1, 40});
  CHECK(state.at("b.second_moment_row").shape() == Shape{6});
}

TEST_CASE("adafactor survives a gradient of zeros") {
  const Tensor w = make_parameter({4, 4}, 1);
  const std::vector<double> before = w.to_vector<double>();
  optim::Adafactor optimizer(std::vector{w});
  w.set_grad(from_vector(std::vector<float>(16), {4, 4}, {DType::f32, test_device()}));
  optimizer.step();
  for (size_t i = 0; i < 16; ++i) {
    CHECK(w.to_vector<double>()[i] == doctest::Approx(before[i] * (1 - 1e-5)));
  }
}
