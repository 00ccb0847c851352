#include <doctest/doctest.h>
#include <ops/array.h>
#include <ops/op_case.h>
#include <tenet/core/parallel.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/concatenate.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/elementwise.h>
#include <tenet/ops/reduce.h>
#include <tenet/ops/stream.h>
#include <tenet/ops/views.h>

#include <cmath>
#include <numeric>

using namespace tenet;
using namespace tenet::test;

namespace {

using Line = std::vector<double>;

double total(const Line& x) { return std::accumulate(x.begin(), x.end(), 0.0); }
double average(const Line& x) { return total(x) / static_cast<double>(x.size()); }
double squared_deviation(const Line& x) {
  double result = 0;
  for (const double value : x) result += (value - average(x)) * (value - average(x));
  return result;
}
double log_sum_exp(const Line& x) {
  double result = 0;
  for (const double value : x) result += std::exp(value);
  return std::log(result);
}

/// f over each group of elements that share the indices of the axes not in `axes`.
OpReference over(std::vector<int> axes, bool keepdim, double (*f)(const Line&)) {
  return [=](const Arrays& xs) {
    const Array& x = xs[0];
    std::vector<bool> reduced(static_cast<size_t>(x.shape.dim()), axes.empty());
    for (const int axis : axes) reduced[static_cast<size_t>(axis)] = true;
    Shape keep = x.shape, shape;
    for (int axis = 0; axis < x.shape.dim(); ++axis) {
      if (reduced[static_cast<size_t>(axis)]) keep[axis] = 1;
      if (keepdim || !reduced[static_cast<size_t>(axis)]) shape.push_back(keep[axis]);
    }
    std::vector<Line> groups(static_cast<size_t>(keep.numel()));
    for (int64_t i = 0; i < x.shape.numel(); ++i) {
      Index index = index_of(x.shape, i);
      for (size_t axis = 0; axis < index.size(); ++axis) {
        if (reduced[axis]) index[axis] = 0;
      }
      groups[static_cast<size_t>(place(keep, index))].push_back(x.values[static_cast<size_t>(i)]);
    }
    Array y{shape, {}};
    for (const Line& group : groups) y.values.push_back(f(group));
    return y;
  };
}

using Reduce = Tensor (*)(const Tensor&, const Axes&, bool);

/// The rows that every reduction has: one axis, several, all, kept axes, empty and size-1 shapes.
OpCase reduction(OpCase row, Reduce function, double (*f)(const Line&)) {
  row.inputs = {{.shape = {3, 4, 5}}};
  row.function = [function](const Tensors& x) {
    return Tensors{function(x[0], 1, false), function(x[0], {0, -1}, true),
                   function(x[0], {}, false)};
  };
  row.reference = [f](const Arrays& x) {
    return Arrays{over({1}, false, f)(x)[0], over({0, 2}, true, f)(x)[0], over({}, false, f)(x)[0]};
  };
  row.types = real_types;
  row.shapes = {{{1, 3, 1}}, {{0, 2, 3}}, {{2, 40, 3}}};
  const Tensor x = zeros({2, 3}), stream = encode(zeros({2}));
  row.errors = {
      {[=] { function(x, 2, false); }, row.op + ": axis 2 is out of range for 2 dimensions"},
      {[=] {
         function(x, {1, -1}, false);
       },
       row.op + ": axis -1 is given twice"},
      {[=] { function(stream, 0, false); }, row.op + ": fixed-point stream; decode() it first"}};
  return row;
}

}  // namespace

TEST_CASE("op table: sums") {
  OpCase row;
  SUBCASE("sum") { row = reduction({.op = "sum"}, sum, total); }
  SUBCASE("mean") { row = reduction({.op = "mean"}, mean, average); }
  SUBCASE("integers") {
    SUBCASE("sum") {
      row = reduction({.op = "sum"}, sum, total);
      row.result = DType::i64;
    }
    SUBCASE("mean") {
      row = reduction({.op = "mean"}, mean, average);
      row.result = DType::f32;
    }
    row.types = {DType::i32, DType::i64, DType::boolean};
    row.differentiable = false;
  }
  SUBCASE("var") {
    row = reduction(
        {.op = "var"}, [](const Tensor& x, const Axes& a, bool keep) { return var(x, a, keep); },
        [](const Line& x) {
          return x.size() > 1 ? squared_deviation(x) / static_cast<double>(x.size() - 1) : NAN;
        });
    row.shapes = {{{2, 3, 2}}, {{2, 40, 3}}};
    row.errors.push_back({[] { var(arange(3)); }, "var: dtype i64 is not supported"});
  }
  SUBCASE("norm") {
    row = reduction({.op = "norm"}, norm, [](const Line& x) {
      double squares = 0;
      for (const double value : x) squares += value * value;
      return std::sqrt(squares);
    });
  }
  SUBCASE("logsumexp") { row = reduction({.op = "logsumexp"}, logsumexp, log_sum_exp); }
  run(row);
}

TEST_CASE("op table: extremes and places") {
  OpCase row;
  SUBCASE("max") {
    row = reduction({.op = "max"}, max,
                    [](const Line& x) { return *std::max_element(x.begin(), x.end()); });
  }
  SUBCASE("min") {
    row = reduction({.op = "min"}, min,
                    [](const Line& x) { return *std::min_element(x.begin(), x.end()); });
  }
  SUBCASE("argmax") {
    row = reduction({.op = "argmax"}, argmax, [](const Line& x) {
      return static_cast<double>(std::max_element(x.begin(), x.end()) - x.begin());
    });
  }
  SUBCASE("argmin") {
    row = reduction({.op = "argmin"}, argmin, [](const Line& x) {
      return static_cast<double>(std::min_element(x.begin(), x.end()) - x.begin());
    });
  }
  const std::string name = row.op;
  const bool is_place = name.starts_with("arg");
  const bool largest = name.ends_with("max");
  row.types = any_types;
  row.shapes = {{{1, 3, 1}}, {{2, 40, 3}}};
  row.errors.push_back({[=] {
                          const Tensor x = zeros({2, 0});
                          is_place ? (largest ? argmax(x, 1) : argmin(x, 1))
                                   : (largest ? max(x, 1) : min(x, 1));
                        },
                        name + ": no elements along the axes of shape (2, 0)"});
  if (is_place) {
    row.function = [largest](const Tensors& x) {
      return largest ? Tensors{argmax(x[0], 1), argmax(x[0], -1, true), argmax(x[0])}
                     : Tensors{argmin(x[0], 1), argmin(x[0], -1, true), argmin(x[0])};
    };
    const auto one = largest ? +[](const Line& x) {
      return static_cast<double>(std::max_element(x.begin(), x.end()) - x.begin());
    } : +[](const Line& x) { return static_cast<double>(std::min_element(x.begin(), x.end()) - x.begin()); };
    row.reference = [one](const Arrays& x) {
      return Arrays{over({1}, false, one)(x)[0], over({2}, true, one)(x)[0],
                    over({}, false, one)(x)[0]};
    };
    row.differentiable = false;
    row.result = DType::i64;
    row.errors[1] = {[=] {
                       const Tensor x = zeros({2, 3});
                       largest ? argmax(x, {0, 1}) : argmin(x, {0, 1});
                     },
                     name + ": 2 axes; it takes one, or all"};
  }
  run(row);
}

TEST_CASE("op table: cumsum") {
  run({.op = "cumsum",
       .inputs = {{.shape = {3, 4, 2}}},
       .function = [](const Tensors& t) { return cumsum(t[0], 1); },
       .reference =
           [](const Arrays& t) {
             return along(t[0], 1, [](Line line) {
               std::partial_sum(line.begin(), line.end(), line.begin());
               return line;
             });
           },
       .types = {DType::f32, DType::f64, DType::bf16, DType::f16, DType::i64},
       .shapes = {{{1, 1, 1}}, {{2, 0, 3}}},
       .errors = {{[] { cumsum(zeros({2}), 1); },
                   "cumsum: axis 1 is out of range for 1 dimensions"}}});
}

TEST_CASE("integers and boolean") {
  const Tensor x = from_vector<uint8_t>({200, 100, 0, 3}, {2, 2});
  CHECK(sum(x).dtype() == DType::i64);
  CHECK(sum(x).item<int64_t>() == 303);
  CHECK(mean(x, 0).to_vector<float>() == std::vector<float>{100, 51.5f});
  CHECK(sum(greater(x, 2)).item<int64_t>() == 3);
  CHECK(max(x, 1).dtype() == DType::u8);
  CHECK(max(x, 1).to_vector<int64_t>() == std::vector<int64_t>{200, 3});
  CHECK(cumsum(greater(x, 2), 0).to_vector<int64_t>() == std::vector<int64_t>{1, 1, 1, 2});
}

TEST_CASE("the extreme's gradient goes to its first place; NaN wins") {
  Tensor x = from_vector<float>({1, 5, 5, 2}, {4}).set_requires_grad(true);
  backward(max(x));
  CHECK(x.grad().to_vector<float>() == std::vector<float>{0, 1, 0, 0});
  Tensor many = expand(zeros({1}), {3000}).clone().set_requires_grad(true);
  CHECK(argmax(many).item<int64_t>() == 0);
  CHECK(argmin(flip(many, 0)).item<int64_t>() == 0);
  const Tensor nan = from_vector<float>({1, NAN, 9, NAN}, {4});
  CHECK(std::isnan(max(nan).item<float>()));
  CHECK(std::isnan(min(nan).item<float>()));
  CHECK(argmax(nan).item<int64_t>() == 1);
  CHECK(argmin(nan).item<int64_t>() == 1);
  CHECK(max(full({20}, -INFINITY)).item<float>() == -INFINITY);
  CHECK(argmax(full({20}, -INFINITY)).item<int64_t>() == 0);
}

TEST_CASE("logsumexp and norm at their edges") {
  Tensor x = full({2, 3}, -INFINITY).set_requires_grad(true);
  const Tensor y = logsumexp(x, 1);
  CHECK(y.to_vector<float>() == std::vector<float>{-INFINITY, -INFINITY});
  CHECK(grad({y}, {x}, {.dy = {ones({2})}})[0].to_vector<float>() == std::vector<float>(6, 0.0f));
  CHECK(logsumexp(full({4}, 1e4)).item<float>() == doctest::Approx(1e4 + std::log(4)));
  CHECK(logsumexp(from_vector<float>({1, INFINITY}, {2})).item<float>() == INFINITY);
  Tensor zero = zeros({3}).set_requires_grad(true);
  CHECK(grad({norm(zero)}, {zero})[0].to_vector<float>() == std::vector<float>(3, 0.0f));
}

TEST_CASE(
    "sums of a million f32 terms are accurate, and empty ones are what they are over nothing") {
  const Tensor x = rand({1 << 20});
  double expected = 0;
  for (const double value : x.to_vector<double>()) expected += value;
  CHECK(std::abs(sum(x).item<double>() - expected) <= 1e-7 * expected);
  CHECK(std::abs(mean(x.to(DType::bf16)).item<double>() - 0.5) <= 2e-3);
  CHECK(sum(zeros({0, 3}), 0).to_vector<float>() == std::vector<float>{0, 0, 0});
  CHECK(std::isnan(mean(zeros({0})).item<float>()));
  CHECK(logsumexp(zeros({0})).item<float>() == -INFINITY);
}

TEST_CASE("a sum is a function of its own elements: not of layout, neighbours or threads") {
  Generator generator(7);
  const Tensor x = randn({5000, 37}, generator);
  const std::vector<float> columns = sum(x, 0).to_vector<float>();
  const std::vector<float> variances = var(x, 0).to_vector<float>();
  CHECK(sum(transpose(x, 0, 1).contiguous(), 1).to_vector<float>() == columns);
  CHECK(var(transpose(x, 0, 1).contiguous(), 1).to_vector<float>() == variances);
  for (const int64_t column : {0, 17, 36}) {
    const Tensor alone = slice(x, 1, column, column + 1);
    CHECK(sum(alone, 0).item<float>() == columns[static_cast<size_t>(column)]);
    CHECK(sum(alone.clone()).item<float>() == columns[static_cast<size_t>(column)]);
    CHECK(var(alone, 0).item<float>() == variances[static_cast<size_t>(column)]);
    CHECK(logsumexp(alone.clone()).item<float>() ==
          logsumexp(x, 0).to_vector<float>()[static_cast<size_t>(column)]);
  }
  const int threads = num_threads();
  for (const int count : {1, 2, 5}) {
    set_num_threads(count);
    CHECK(sum(x, 0).to_vector<float>() == columns);
    CHECK(sum(x).item<float>() == sum(flatten(x)).item<float>());
  }
  set_num_threads(threads);
}

TEST_CASE("gradients of broadcast operands are summed to their shape") {
  Tensor x = ones({3, 1}).set_requires_grad(true);
  backward(mul(x, ones({2, 3, 4})), {.dy = reshape(arange(0, 24, 1, {DType::f32}), {2, 3, 4})});
  CHECK(x.grad().shape() == Shape{3, 1});
  CHECK(x.grad().to_vector<float>() == std::vector<float>{0 + 1 + 2 + 3 + 12 + 13 + 14 + 15,
                                                          4 + 5 + 6 + 7 + 16 + 17 + 18 + 19,
                                                          8 + 9 + 10 + 11 + 20 + 21 + 22 + 23});
}
