#include <doctest/doctest.h>
#include <ops/array.h>
#include <ops/op_case.h>
#include <tenet/core/parallel.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/elementwise.h>
#include <tenet/ops/softmax.h>
#include <tenet/ops/stream.h>
#include <tenet/ops/views.h>

#include <cmath>

using namespace tenet;
using namespace tenet::test;

namespace {

using Line = std::vector<double>;

Line softmax_of(const Line& x) {
  double largest = -INFINITY, total = 0;
  for (const double value : x) largest = std::max(largest, value);
  Line y;
  for (const double value : x) y.push_back(std::exp(value - largest));
  for (const double value : y) total += value;
  for (double& value : y) value /= total;
  return y;
}

OpReference both_axes(Line (*f)(const Line&)) {
  return [f](const Arrays& x) { return Arrays{along(x[0], -1, f), along(x[0], 0, f)}; };
}

std::vector<OpError> errors_of(const std::string& op, Tensor (*f)(const Tensor&, int)) {
  const Tensor stream = encode(zeros({2}));
  return {{[=] { f(zeros({2}), 1); }, op + ": axis 1 is out of range for 1 dimensions"},
          {[=] { f(arange(3), 0); }, op + ": dtype i64 is not supported"},
          {[=] { f(stream, 0); }, op + ": fixed-point stream; decode() it first"}};
}

}  // namespace

TEST_CASE("op table: softmax") {
  run({.op = "softmax",
       .inputs = {{.shape = {3, 5}, .low = -4, .high = 4}},
       .function =
           [](const Tensors& x) {
             return Tensors{softmax(x[0]), softmax(x[0], 0)};
           },
       .reference = both_axes(softmax_of),
       .types = real_types,
       .shapes = {{{0, 3}}, {{2, 0}}, {{1, 1}}, {{2, 35}}},
       .errors = errors_of("softmax", softmax)});
  run({.op = "log_softmax",
       .inputs = {{.shape = {3, 5}, .low = -4, .high = 4}},
       .function =
           [](const Tensors& x) {
             return Tensors{log_softmax(x[0]), log_softmax(x[0], 0)};
           },
       .reference = both_axes([](const Line& x) {
         Line y = softmax_of(x);
         for (double& value : y) value = std::log(value);
         return y;
       }),
       .types = real_types,
       .shapes = {{{0, 3}}, {{2, 0}}, {{1, 1}}, {{2, 35}}},
       .errors = errors_of("log_softmax", log_softmax)});
}

TEST_CASE("rows of -inf, of large numbers and with NaN") {
  const float inf = INFINITY;
  const Tensor x = from_vector<float>({-inf, -inf, -inf, 1e30f, 1e30f, -inf, NAN, 1, 2}, {3, 3});
  const std::vector<float> y = softmax(x).to_vector<float>();
  CHECK(std::vector<float>(y.begin(), y.begin() + 6) == std::vector<float>{0, 0, 0, 0.5f, 0.5f, 0});
  CHECK((std::isnan(y[6]) && std::isnan(y[7]) && std::isnan(y[8])));
  const std::vector<float> log_y = log_softmax(x).to_vector<float>();
  for (int i = 0; i < 3; ++i) CHECK(log_y[static_cast<size_t>(i)] == -inf);
  CHECK(log_y[3] == doctest::Approx(-std::log(2)));
}

TEST_CASE("a row's softmax does not depend on its neighbours, place, layout or threads") {
  Generator generator(3);
  const Tensor x = randn({300, 259}, generator);
  const int threads = num_threads();
  for (const auto f : {softmax, log_softmax}) {
    set_num_threads(1);
    const std::vector<float> all = f(x, -1).to_vector<float>();
    set_num_threads(3);
    CHECK(f(x, -1).to_vector<float>() == all);
    CHECK(transpose(f(transpose(x, 0, 1).contiguous(), 0), 0, 1).to_vector<float>() == all);
    for (const int64_t row : {0, 1, 151, 299}) {
      const std::vector<float> one = f(slice(x, 0, row, row + 1).clone(), -1).to_vector<float>();
      CHECK(std::equal(one.begin(), one.end(), all.begin() + row * 259));
    }
  }
  set_num_threads(threads);
}

TEST_CASE("half types are computed in f32 and rounded once") {
  Generator generator(5);
  const Tensor x = randn({4, 2000}, generator).to(DType::bf16);
  CHECK(softmax(x).to_vector<float>() ==
        softmax(x.to(DType::f32)).to(DType::bf16).to_vector<float>());
  CHECK(log_softmax(x).to_vector<float>() ==
        log_softmax(x.to(DType::f32)).to(DType::bf16).to_vector<float>());
}
