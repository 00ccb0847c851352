#include <doctest/doctest.h>
#include <ops/op_case.h>
#include <tenet/core/grad_mode.h>
#include <tenet/core/graph.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/elementwise.h>
#include <tenet/ops/stream.h>

#include <cmath>
#include <cstring>
#include <limits>

using namespace tenet;
using namespace tenet::test;

namespace {

using Binary = Tensor (*)(const Tensor&, const Tensor&);
using Reference = double (*)(double, double);

const std::vector<std::vector<Shape>> broadcasts{
    {{3, 4}, {4}}, {{3, 1}, {1, 4}},    {{}, {2, 3}},     {{0, 3}, {3}},
    {{1}, {1}},    {{2, 1, 3}, {4, 1}}, {{2, 600}, {600}}};

OpCase binary(OpCase row, Binary function, Reference reference) {
  if (row.inputs.empty()) row.inputs = {{.shape = {3, 4}}, {.shape = {3, 4}}};
  row.function = [function](const Tensors& x) { return function(x[0], x[1]); };
  row.reference = each(std::function<double(double, double)>(reference));
  row.shapes = broadcasts;
  row.shapes.pop_back();  // the long one is for the forward pass only
  row.extremes = real_extremes();
  const Tensor stream = encode(zeros({3}));
  row.errors = {
      {[=] {
         function(zeros({2, 3}), zeros({4}));
       },
       row.op + ": shapes (2, 3) and (4,) do not broadcast"},
      {[=] { function(zeros({3}), stream); }, row.op + ": fixed-point stream; decode() it first"}};
  return row;
}

OpCase comparison(OpCase row, Binary function, Reference reference) {
  row.inputs = {{.shape = {3, 4}, .values = {1, 2, 3}}, {.shape = {3, 4}, .values = {3, 2}}};
  row.types = number_types;
  row.result = DType::boolean;
  row.differentiable = false;
  OpCase result = binary(std::move(row), function, reference);
  result.shapes = broadcasts;
  return result;
}

/// A tensor and a number.
OpCase with_number(OpCase row, Tensor (*function)(const Tensor&), double (*reference)(double)) {
  if (row.inputs.empty()) row.inputs = {{.shape = {3, 4}}};
  row.function = [function](const Tensors& x) { return function(x[0]); };
  row.reference = each(std::function<double(double)>(reference));
  row.types = real_types;
  row.shapes = {{{}}, {{0, 3}}, {{1}}};
  row.extremes = real_extremes();
  return row;
}

const std::vector<OpInput> positive_pair{{.shape = {3, 4}, .low = 0.4, .high = 2.5},
                                         {.shape = {3, 4}}};
const std::vector<OpInput> divisor{{.shape = {3, 4}}, {.shape = {3, 4}, .low = 0.5, .high = 2}};
const std::vector<OpInput> positive{{.shape = {3, 4}, .low = 0.4, .high = 2.5}};

double larger(double a, double b) { return std::isnan(a) || std::isnan(b) ? NAN : std::max(a, b); }
double smaller(double a, double b) { return std::isnan(a) || std::isnan(b) ? NAN : std::min(a, b); }

}  // namespace

TEST_CASE("op table: arithmetic") {
  OpCase row = binary({.op = "add"}, add, [](double a, double b) { return a + b; });
  row.types = number_types;
  run(row);
  row = binary({.op = "sub"}, sub, [](double a, double b) { return a - b; });
  row.types = number_types;
  run(row);
  row = binary({.op = "mul"}, mul, [](double a, double b) { return a * b; });
  row.types = number_types;
  run(row);
  row = binary({.op = "div", .inputs = divisor}, div, [](double a, double b) { return a / b; });
  row.types = real_types;
  run(row);
  row = binary({.op = "pow", .inputs = positive_pair}, pow,
               [](double a, double b) { return std::pow(a, b); });
  row.types = real_types;
  row.errors.push_back({[] { pow(ones({2}, {DType::i64}), -1); },
                        "pow: i64 to the power -1 is not an integer; convert to a float first"});
  run(row);
}

TEST_CASE("op table: maximum and minimum") {
  OpCase row = binary({.op = "maximum"}, maximum, larger);
  row.types = number_types;
  run(row);
  row = binary({.op = "minimum"}, minimum, smaller);
  row.types = number_types;
  run(row);
}

TEST_CASE("op table: comparisons") {
  run(comparison({.op = "equal"}, equal, [](double a, double b) -> double { return a == b; }));
  run(comparison({.op = "not_equal"}, not_equal,
                 [](double a, double b) -> double { return a != b; }));
  run(comparison({.op = "less"}, less, [](double a, double b) -> double { return a < b; }));
  run(comparison({.op = "less_equal"}, less_equal,
                 [](double a, double b) -> double { return a <= b; }));
  run(comparison({.op = "greater"}, greater, [](double a, double b) -> double { return a > b; }));
  run(comparison({.op = "greater_equal"}, greater_equal,
                 [](double a, double b) -> double { return a >= b; }));
}

TEST_CASE("op table: truth values") {
  OpCase row = comparison({.op = "logical_and"}, logical_and,
                          [](double a, double b) -> double { return a != 0 && b != 0; });
  row.inputs = {{.shape = {3, 4}, .values = {0, 2, 3}}, {.shape = {3, 4}, .values = {0, 0.5}}};
  row.types = real_types;
  run(row);
  row.op = "logical_or";
  row.function = [](const Tensors& x) { return logical_or(x[0], x[1]); };
  row.reference = each([](double a, double b) -> double { return a != 0 || b != 0; });
  row.errors.clear();
  run(row);
}

TEST_CASE("op table: a number on the right") {
  run(with_number(
      {.op = "add"}, [](const Tensor& x) { return x + 1.5; }, [](double x) { return x + 1.5; }));
  run(with_number(
      {.op = "sub"}, [](const Tensor& x) { return x - 1.5; }, [](double x) { return x - 1.5; }));
  run(with_number(
      {.op = "mul"}, [](const Tensor& x) { return x * -3; }, [](double x) { return x * -3; }));
  run(with_number(
      {.op = "div"}, [](const Tensor& x) { return x / 3; }, [](double x) { return x / 3; }));
  run(with_number(
      {.op = "pow", .inputs = positive}, [](const Tensor& x) { return pow(x, 2.5); },
      [](double x) { return std::pow(x, 2.5); }));
  run(with_number(
      {.op = "pow"}, [](const Tensor& x) { return pow(x, 2); }, [](double x) { return x * x; }));
  run(with_number(
      {.op = "pow"}, [](const Tensor& x) { return pow(x, 3); },
      [](double x) { return std::pow(x, 3); }));
  run(with_number(
      {.op = "pow"}, [](const Tensor& x) { return pow(x, 0); }, [](double) { return 1.0; }));
  run(with_number(
      {.op = "maximum"}, [](const Tensor& x) { return maximum(x, 0.5); },
      [](double x) { return larger(x, 0.5); }));
  run(with_number(
      {.op = "minimum"}, [](const Tensor& x) { return minimum(x, 0.5); },
      [](double x) { return smaller(x, 0.5); }));
}

TEST_CASE("op table: a number on the left") {
  run(with_number(
      {.op = "add"}, [](const Tensor& x) { return 1.5 + x; }, [](double x) { return 1.5 + x; }));
  run(with_number(
      {.op = "sub"}, [](const Tensor& x) { return 1.5 - x; }, [](double x) { return 1.5 - x; }));
  run(with_number(
      {.op = "mul"}, [](const Tensor& x) { return 0.25 * x; }, [](double x) { return 0.25 * x; }));
  run(with_number(
      {.op = "div", .inputs = positive}, [](const Tensor& x) { return 3 / x; },
      [](double x) { return 3 / x; }));
  run(with_number(
      {.op = "pow"}, [](const Tensor& x) { return pow(2, x); },
      [](double x) { return std::pow(2, x); }));
}

TEST_CASE("op table: where") {
  OpCase row{.op = "where"};
  row.inputs = {{.shape = {3, 4}, .low = 0, .high = 1, .dtype = DType::boolean},
                {.shape = {3, 4}},
                {.shape = {3, 4}}};
  row.function = [](const Tensors& x) { return where(x[0], x[1], x[2]); };
  row.reference = each([](double c, double a, double b) { return c != 0 ? a : b; });
  row.types = number_types;
  row.shapes = {{{4}, {3, 1}, {}}, {{2, 1, 1}, {3}, {1, 2, 1}}, {{0}, {1}, {}}, {{1}, {1}, {1}}};
  row.extremes = real_extremes();
  row.errors = {
      {[] { where(zeros({2}), zeros({2}), 0); }, "where: the condition is f32; it must be boolean"},
      {[] { where(zeros({2}, {DType::boolean}), zeros({3}), 0); },
       "where: shapes (2,) and (3,) do not broadcast"}};
  run(row);
  row.inputs.pop_back();
  row.function = [](const Tensors& x) { return where(x[0], x[1], 3); };
  row.reference = each([](double c, double a) { return c != 0 ? a : 3; });
  row.shapes.clear();
  run(row);
  row.function = [](const Tensors& x) { return where(x[0], 3, x[1]); };
  row.reference = each([](double c, double a) { return c != 0 ? 3 : a; });
  run(row);
}

TEST_CASE("promotion follows the category, then the width") {
  const auto of = [](DType a, DType b) { return add(ones({1}, {a}), ones({1}, {b})).dtype(); };
  CHECK(of(DType::boolean, DType::boolean) == DType::boolean);
  CHECK(of(DType::boolean, DType::u8) == DType::u8);
  CHECK(of(DType::u8, DType::i64) == DType::i64);
  CHECK(of(DType::i64, DType::f16) == DType::f16);
  CHECK(of(DType::f16, DType::bf16) == DType::f32);
  CHECK(of(DType::bf16, DType::f32) == DType::f32);
  CHECK(of(DType::f32, DType::f64) == DType::f64);
  CHECK((ones({1}, {DType::bf16}) * 0.5).dtype() == DType::bf16);
  CHECK((ones({1}, {DType::i32}) * 2).dtype() == DType::i32);
  CHECK((ones({1}, {DType::i32}) * 0.5).dtype() == DType::f32);
  CHECK((ones({1}, {DType::boolean}) + 1).dtype() == DType::i64);
  CHECK((ones({1}, {DType::boolean}) + true).dtype() == DType::boolean);
  CHECK((ones({1}, {DType::i64}) / 2).dtype() == DType::f32);
  CHECK((ones({1}, {DType::i64}) / ones({1}, {DType::u8})).dtype() == DType::f32);
  CHECK(where(ones({1}, {DType::boolean}), ones({1}, {DType::i32}), 0.5).dtype() == DType::f32);
}

TEST_CASE("mixed types convert the narrower operand and its gradient") {
  Tensor a = full({3}, 1.5, {DType::bf16}).set_requires_grad(true);
  Tensor b = full({3}, 2.5).set_requires_grad(true);
  const Tensor y = a * b;
  CHECK(y.dtype() == DType::f32);
  const Tensors d = grad({y}, {a, b}, {.dy = {ones({3})}});
  CHECK(d[0].dtype() == DType::bf16);
  CHECK(d[1].dtype() == DType::f32);
  CHECK(d[0].to_vector<double>() == std::vector<double>{2.5, 2.5, 2.5});
}

TEST_CASE("a number is not rounded to a half type before the arithmetic") {
  const Tensor x = full({1}, 256.0, {DType::bf16});
  CHECK((x * 0.1).item<double>() == static_cast<double>(static_cast<float>(bf16(25.6f))));
  CHECK((x * 1.001953125).item<double>() == 256);  // 256.5 rounds to 256
  CHECK((x * 1.00390625).item<double>() == 256);   // 257 is a tie, to even
  CHECK((x * 1.0078125).item<double>() == 258);
}

TEST_CASE("integers wrap around and boolean stays boolean") {
  const Tensor big = full({1}, INT64_MAX, {DType::i64});
  CHECK((big + 1).item<int64_t>() == INT64_MIN);
  CHECK((big * big).item<int64_t>() == 1);
  CHECK((full({1}, 255, {DType::u8}) + 1).item<int64_t>() == 0);
  CHECK((full({1}, 16, {DType::u8}) * 17).item<int64_t>() == 16);
  const Tensor yes = ones({1}, {DType::boolean}), no = zeros({1}, {DType::boolean});
  CHECK((yes + yes).item<int64_t>() == 1);
  CHECK((yes * no).item<int64_t>() == 0);
  check_error([&] { sub(yes, no); }, "sub: dtype boolean is not supported");
}

TEST_CASE("integer powers") {
  const Tensor a = from_vector<int64_t>({2, -3, 1, -1, 0, -1}, {6});
  const Tensor b = from_vector<int64_t>({10, 3, -2, -3, 0, -2}, {6});
  CHECK(pow(a, b).to_vector<int64_t>() == std::vector<int64_t>{1024, -27, 1, -1, 1, 1});
  CHECK(pow(a, 3).to_vector<int64_t>() == std::vector<int64_t>{8, -27, 1, -1, 0, -1});
  CHECK(pow(a, 0.5).dtype() == DType::f32);
}

TEST_CASE("gradients where the formula is singular") {
  Tensor zero = zeros({1}, {DType::f64}).set_requires_grad(true);
  Tensor two = full({1}, 2.0, {DType::f64}).set_requires_grad(true);
  for (const bool recorded : {false, true}) {
    const GradOptions options{.dy = {ones({1}, {DType::f64})}, .create_graph = recorded};
    CHECK(grad({pow(zero, two)}, {two}, options)[0].item<double>() == 0);
    CHECK(grad({pow(zero, two)}, {zero}, options)[0].item<double>() == 0);
    CHECK(grad({pow(zero, 0)}, {zero}, options)[0].item<double>() == 0);
    CHECK(grad({pow(zero, zero.detach())}, {zero}, options)[0].item<double>() == 0);
    CHECK(grad({pow(0, two)}, {two}, options)[0].item<double>() == 0);
    CHECK(grad({maximum(two, two.detach())}, {two}, options)[0].item<double>() == 0.5);
    CHECK(grad({minimum(two, 2)}, {two}, options)[0].item<double>() == 0.5);
  }
}

TEST_CASE("operators are the functions") {
  const Tensor a = from_vector<double>({1, 2, 3}, {3}), b = from_vector<double>({2, 2, 2}, {3});
  using Values = std::vector<double>;
  CHECK((a + b).to_vector<double>() == Values{3, 4, 5});
  CHECK((a - b).to_vector<double>() == Values{-1, 0, 1});
  CHECK((a * b).to_vector<double>() == Values{2, 4, 6});
  CHECK((a / b).to_vector<double>() == Values{0.5, 1, 1.5});
  CHECK((-a).to_vector<double>() == Values{-1, -2, -3});
  CHECK((a < b).to_vector<double>() == Values{1, 0, 0});
  CHECK((a <= b).to_vector<double>() == Values{1, 1, 0});
  CHECK((a > b).to_vector<double>() == Values{0, 0, 1});
  CHECK((a >= b).to_vector<double>() == Values{0, 1, 1});
  CHECK((a < 2).to_vector<double>() == Values{1, 0, 0});
  CHECK((a <= 2).to_vector<double>() == Values{1, 1, 0});
  CHECK((a > 2).to_vector<double>() == Values{0, 0, 1});
  CHECK((a >= 2).to_vector<double>() == Values{0, 1, 1});
  CHECK(equal(a, 2).to_vector<double>() == Values{0, 1, 0});
  CHECK(not_equal(a, 2).to_vector<double>() == Values{1, 0, 1});
}

TEST_CASE("an element's bits do not depend on its neighbours") {
  constexpr Binary functions[] = {add, sub, mul, div, pow, maximum, minimum};
  Generator generator(4);
  const Tensor a = randn({1031}, generator), b = rand({1031}, generator);
  for (size_t f = 0; f < std::size(functions); ++f) {
    const Tensor whole = functions[f](a, b);
    for (int64_t first : {0, 1, 7, 500, 1030}) {
      for (int64_t n : {1, 3, 16, 29}) {
        if (first + n > 1031) continue;
        const Tensor y =
            functions[f](detail::view_of(a, {n}, {1}, first), detail::view_of(b, {n}, {1}, first));
        INFO("function ", f, ", elements ", first, " to ", first + n);
        CHECK(std::memcmp(y.data<float>(), whole.data<float>() + first,
                          static_cast<size_t>(n) * 4) == 0);
      }
    }
  }
}

TEST_CASE("numbers that an integer type cannot hold") {
  const Tensor x = from_vector<uint8_t>({10, 100, 200}, {3});
  CHECK(less(x, 300).to_vector<double>() == std::vector<double>{1, 1, 1});
  CHECK(greater_equal(x, -1).to_vector<double>() == std::vector<double>{1, 1, 1});
  CHECK(equal(x, 266).to_vector<double>() == std::vector<double>{0, 0, 0});
  CHECK(less(from_vector<int32_t>({-5, 7}, {2}), int64_t{1} << 32).to_vector<double>() ==
        std::vector<double>{1, 1});
  CHECK(maximum(x, -1).to_vector<double>() == std::vector<double>{10, 100, 200});
  CHECK(minimum(x, 300).to_vector<double>() == std::vector<double>{10, 100, 200});
  CHECK(clamp(x, -1, 300).to_vector<double>() == std::vector<double>{10, 100, 200});
  CHECK(pow(x, 2.0).to_vector<double>() == std::vector<double>{100, 10000, 40000});
  CHECK(pow(x, 2.0).dtype() == DType::f32);
}

TEST_CASE("backward() of a node leaves a caller's gradient alone") {
  const Tensor y = exp(ones({3}).set_requires_grad(true));
  const NoGrad scope;
  const Tensors dy{ones({3})};
  graph::node(y)->backward(dy);
  CHECK(dy[0].to_vector<double>() == std::vector<double>{1, 1, 1});
}
