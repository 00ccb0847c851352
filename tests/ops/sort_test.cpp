#include <doctest/doctest.h>
#include <ops/array.h>
#include <ops/op_case.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/sort.h>
#include <tenet/ops/stream.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

using namespace tenet;
using namespace tenet::test;

namespace {

using Line = std::vector<double>;

Line places_of(const Line& x, bool descending) {
  Line order(x.size());
  std::iota(order.begin(), order.end(), 0.0);
  std::stable_sort(order.begin(), order.end(), [&](double a, double b) {
    const double p = x[static_cast<size_t>(a)], q = x[static_cast<size_t>(b)];
    return descending ? p > q : p < q;
  });
  return order;
}

Line sorted(const Line& x, bool descending) {
  Line y;
  for (const double i : places_of(x, descending)) y.push_back(x[static_cast<size_t>(i)]);
  return y;
}

}  // namespace

TEST_CASE("op table: sorting") {
  const Tensor x = zeros({3}), stream = encode(x);
  run({.op = "sort",
       .inputs = {{.shape = {4, 6}}},
       .function =
           [](const Tensors& t) {
             return Tensors{sort(t[0]).values, sort(t[0], 0, true).values};
           },
       .reference =
           [](const Arrays& t) {
             return Arrays{along(t[0], 1, [](const Line& line) { return sorted(line, false); }),
                           along(t[0], 0, [](const Line& line) { return sorted(line, true); })};
           },
       .types = number_types,
       .shapes = {{{0, 3}}, {{2, 0}}, {{1, 1}}},
       .errors = {{[=] { sort(x, 1); }, "sort: axis 1 is out of range for 1 dimensions"},
                  {[=] { sort(stream); }, "sort: fixed-point stream; decode() it first"}}});
  run({.op = "argsort",
       .inputs = {{.shape = {3, 40}, .low = 0, .high = 9, .dtype = DType::i64}},
       .function =
           [](const Tensors& t) {
             return Tensors{argsort(t[0]), argsort(t[0], -1, true)};
           },
       .reference =
           [](const Arrays& t) {
             return Arrays{along(t[0], 1, [](const Line& line) { return places_of(line, false); }),
                           along(t[0], 1, [](const Line& line) { return places_of(line, true); })};
           },
       .types = {DType::i64},
       .differentiable = false,
       .errors = {{[=] { argsort(x, 1); }, "argsort: axis 1 is out of range for 1 dimensions"}}});
  run({.op = "top_k",
       .inputs = {{.shape = {3, 7}}},
       .function = [](const Tensors& t) { return top_k(t[0], 2).values; },
       .reference =
           [](const Arrays& t) {
             return along(t[0], 1, [](const Line& line) {
               Line y = sorted(line, true);
               y.resize(2);
               return y;
             });
           },
       .types = number_types,
       .errors = {{[=] { top_k(x, 5); }, "top_k: k 5 is outside 0..3, the size of axis 0"},
                  {[=] { top_k(x, -1); }, "top_k: k -1 is outside 0..3, the size of axis 0"}}});
}

TEST_CASE("equal elements keep their order; NaN is larger than every number") {
  const Tensor x = from_vector<float>({2, NAN, 1, 2, INFINITY, 1}, {6});
  CHECK(argsort(x).to_vector<int64_t>() == std::vector<int64_t>{2, 5, 0, 3, 4, 1});
  CHECK(argsort(x, 0, true).to_vector<int64_t>() == std::vector<int64_t>{1, 4, 0, 3, 2, 5});
  CHECK(top_k(x, 4).indices.to_vector<int64_t>() == std::vector<int64_t>{1, 4, 0, 3});
  CHECK(sort(x).indices.dtype() == DType::i64);
}

namespace {

/// Places by comparing, of lines longer than those that sort() compares.
template <class T>
void check_long_line(const std::vector<T>& x, bool descending) {
  std::vector<int64_t> expected(x.size());
  std::iota(expected.begin(), expected.end(), int64_t{0});
  std::stable_sort(expected.begin(), expected.end(), [&](int64_t i, int64_t j) {
    const T a = x[static_cast<size_t>(i)], b = x[static_cast<size_t>(j)];
    const auto before = [](T p, T q) { return q != q ? p == p : p < q; };
    return descending ? before(b, a) : before(a, b);
  });
  const int64_t n = static_cast<int64_t>(x.size());
  CHECK(argsort(from_vector(x, {n}), 0, descending).template to_vector<int64_t>() == expected);
}

template <class T>
void check_long_lines(double scale) {
  std::mt19937 random(3);
  for (const size_t n : {127, 128, 129, 1000}) {
    std::vector<T> x;
    for (size_t i = 0; i < n; ++i) {
      x.push_back(static_cast<T>((static_cast<double>(random()) * 0x1p-31 - 1) * scale));
    }
    if constexpr (std::is_floating_point_v<T>) {
      x[3] = x[90] = NAN, x[5] = -NAN, x[7] = -INFINITY, x[8] = INFINITY, x[9] = -0.0, x[60] = 0;
      x[61] = -0.0;
    }
    check_long_line(x, false);
    check_long_line(x, true);
  }
}

}  // namespace

TEST_CASE("long lines are sorted stably, by all digits, with NaN as the largest") {
  check_long_lines<float>(1);
  check_long_lines<double>(1e10);
  check_long_lines<int64_t>(1e15);
  check_long_lines<int32_t>(30);
  check_long_lines<int32_t>(2e9);
}
