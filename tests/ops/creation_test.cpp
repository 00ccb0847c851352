#include <doctest/doctest.h>
#include <ops/op_case.h>
#include <ops/reference_philox.h>
#include <tenet/core/parallel.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/stream.h>

#include <cmath>
#include <numbers>

using namespace tenet;
using namespace tenet::test;

namespace {

/// A row without inputs: a tensor of type `result` against its values.
OpCase constant(OpCase row, std::function<Tensor()> make, Array expected,
                DType result = DType::f32) {
  row.function = [make](const Tensors&) { return make(); };
  row.reference = [expected](const Arrays&) { return expected; };
  row.types = {DType::f32};
  row.result = result;
  row.differentiable = false;
  return row;
}

/// A row of one input of which only shape and type count.
OpCase like(OpCase row, Tensor (*make)(const Tensor&), double value) {
  row.inputs = {{.shape = {2, 3}}};
  row.function = [make](const Tensors& x) { return make(x[0]); };
  row.reference = each([value](double) { return value; });
  row.types = {DType::f32, DType::f64, DType::bf16, DType::f16, DType::i64};
  row.shapes = {{{}}, {{0, 2}}, {{1}}};
  row.differentiable = false;
  return row;
}

Array uniforms(Shape shape, std::function<double(double)> f) {
  Array y{shape, reference_uniforms(5, 3, static_cast<size_t>(shape.numel()))};
  for (double& value : y.values) value = f(value);
  return y;
}

Generator generator() {
  Generator g(5);
  g.set_offset(3);
  return g;
}

std::vector<double> normals(size_t count) {
  const std::vector<uint32_t> words = reference_words(5, 3, count + 1);
  std::vector<double> values;
  for (size_t i = 0; i < count; ++i) {
    const double u = ((words[i & ~size_t{1}] >> 8) + 0.5) * 0x1p-24;
    const double angle = 2 * std::numbers::pi * ((words[(i & ~size_t{1}) + 1] >> 8) * 0x1p-24);
    values.push_back(std::sqrt(-2 * std::log(u)) *
                     (i % 2 == 0 ? std::cos(angle) : std::sin(angle)));
  }
  return values;
}

}  // namespace

TEST_CASE("op table: constants") {
  OpCase row = constant({.op = "zeros"}, [] { return zeros({2, 2}); }, {{2, 2}, {0, 0, 0, 0}});
  row.errors = {
      {[] { zeros({2}, {DType::fixed32}); }, "full: fixed32 cannot be asked for; use encode()"},
      {[] {
         zeros({2, -1});
       },
       "empty: shape (2, -1) has a negative size"}};
  run(row);
  run(constant(
      {.op = "ones"}, [] { return ones({3}, {DType::bf16}); }, {{3}, {1, 1, 1}}, DType::bf16));
  run(constant({.op = "full"}, [] { return full({0, 2}, 7); }, {{0, 2}, {}}));
  run(constant(
      {.op = "full"}, [] { return full({2}, 2.75, {DType::f64}); }, {{2}, {2.75, 2.75}},
      DType::f64));
  run(constant({.op = "eye"}, [] { return eye(2, 3); }, {{2, 3}, {1, 0, 0, 0, 1, 0}}));
  run(constant(
      {.op = "eye"}, [] { return eye(2, -1, {DType::i64}); }, {{2, 2}, {1, 0, 0, 1}}, DType::i64));
  run(constant({.op = "eye"}, [] { return eye(0); }, {{0, 0}, {}}));
  run(like({.op = "zeros_like"}, zeros_like, 0));
  run(like({.op = "ones_like"}, ones_like, 1));
  row = like(
      {.op = "full_like"}, [](const Tensor& x) { return full_like(x, 3); }, 3);
  row.errors = {{[] { full_like(encode(zeros({1})), 3); },
                 "full_like: fixed-point stream; decode() it first"}};
  run(row);
  CHECK(zeros_like(encode(ones({2}))).dtype() == DType::fixed32);
  CHECK(ones({2}, {.requires_grad = true}).requires_grad());
}

TEST_CASE("op table: arange") {
  OpCase row = constant(
      {.op = "arange"}, [] { return arange(4); }, {{4}, {0, 1, 2, 3}}, DType::i64);
  row.errors = {{[] { arange(0, 3, 0); }, "arange: the step is 0"}};
  run(row);
  run(constant(
      {.op = "arange"}, [] { return arange(5, -2, -3); }, {{3}, {5, 2, -1}}, DType::i64));
  run(constant(
      {.op = "arange"}, [] { return arange(1, 7, 2); }, {{3}, {1, 3, 5}}, DType::i64));
  run(constant(
      {.op = "arange"}, [] { return arange(3, 3); }, {{0}, {}}, DType::i64));
  run(constant(
      {.op = "arange"}, [] { return arange(3, 1); }, {{0}, {}}, DType::i64));
  run(constant({.op = "arange"}, [] { return arange(0, 1, 0.25); }, {{4}, {0, 0.25, 0.5, 0.75}}));
  run(constant({.op = "arange"}, [] { return arange(2.5); }, {{3}, {0, 1, 2}}));
  run(constant(
      {.op = "arange"}, [] { return arange(3, {DType::f64}); }, {{3}, {0, 1, 2}}, DType::f64));
}

TEST_CASE("op table: random numbers") {
  const auto drawn = [](auto f) {
    return [f] {
      Generator g = generator();
      return f(g);
    };
  };
  run(constant({.op = "rand"}, drawn([](Generator& g) {
                 return rand({7, 9}, g);
               }),
               uniforms({7, 9}, [](double u) { return u; })));
  run(constant({.op = "rand"}, drawn([](Generator& g) { return rand({0}, g); }), {{0}, {}}));
  run(constant({.op = "rand"}, drawn([](Generator& g) { return rand({70}, g, {DType::f64}); }),
               uniforms({70}, [](double u) { return u; }), DType::f64));
  run(constant({.op = "rand"}, drawn([](Generator& g) { return rand({70}, g, {DType::bf16}); }),
               uniforms({70}, [](double u) { return std::floor(u * 256) / 256; }), DType::bf16));
  run(constant({.op = "rand"}, drawn([](Generator& g) { return rand({70}, g, {DType::f16}); }),
               uniforms({70}, [](double u) { return std::floor(u * 2048) / 2048; }), DType::f16));
  run(constant({.op = "randn"}, drawn([](Generator& g) { return randn({601}, g); }),
               {{601}, normals(601)}));
  OpCase row =
      constant({.op = "bernoulli"}, drawn([](Generator& g) { return bernoulli({63}, 0.3, g); }),
               uniforms({63}, [](double u) -> double { return u < 0.3; }), DType::boolean);
  row.errors = {{[] { bernoulli({1}, 1.5); }, "bernoulli: p is 1.5; it must be from 0 to 1"}};
  run(row);
  Array integers{{40}, {}};
  for (uint32_t word : reference_words(5, 3, 40)) {
    integers.values.push_back(-3 + std::floor(word * 0x1p-32 * 10));
  }
  row = constant({.op = "randint"}, drawn([](Generator& g) { return randint({40}, -3, 7, g); }),
                 integers, DType::i64);
  row.errors = {{[] { randint({1}, 3, 3); },
                 "randint: from 3 to 3; 1 to 2^32 different values are possible"}};
  run(row);
}

TEST_CASE("philox: known answers of Random123") {
  const auto block = [](uint64_t low, uint64_t high, uint64_t key) {
    const PhiloxBlock b = philox_block({.seed = key, .stream = high, .offset = low}, 0);
    return std::vector<uint32_t>(b.word, b.word + 4);
  };
  using Words = std::vector<uint32_t>;
  CHECK(block(0, 0, 0) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  const uint64_t all = ~uint64_t{0};
  CHECK(block(all, all, all) == Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(block(0x85a308d3243f6a88, 0x0370734413198a2e, 0x299f31d0a4093822) ==
        Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
  const auto reference =
      reference_philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0});
  CHECK(reference == std::array<uint32_t, 4>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("a draw depends on the generator alone") {
  Generator a(9), b(9), other(10);
  const std::vector<float> first = randn({100}, a).to_vector<float>();
  CHECK(a.offset() == 25);
  CHECK(randn({100}, b).to_vector<float>() == first);
  CHECK(randn({100}, other).to_vector<float>() != first);
  CHECK(randn({100}, a).to_vector<float>() != first);
  b.set_offset(0);
  CHECK(randn({10, 10}, b).to_vector<float>() == first);

  Generator streamed(9, 1);
  CHECK(randn({100}, streamed).to_vector<float>() != first);
  set_seed(9);
  CHECK(randn({100}).to_vector<float>() == first);
  set_seed(0);
}

TEST_CASE("a long draw is the same with any number of threads") {
  const int threads = num_threads();
  const auto draw = [](int count) {
    set_num_threads(count);
    Generator g(1);
    return rand({100003}, g).to_vector<float>();
  };
  const std::vector<float> alone = draw(1);
  CHECK(draw(2) == alone);
  CHECK(draw(7) == alone);
  set_num_threads(threads);
}

TEST_CASE("moments of the distributions") {
  Generator g(11);
  const auto moments = [](const Tensor& x) {
    double sum = 0, squares = 0;
    const std::vector<double> values = x.to_vector<double>();
    for (double v : values) sum += v, squares += v * v;
    const double n = static_cast<double>(values.size()), mean = sum / n;
    return std::pair(mean, squares / n - mean * mean);
  };
  const auto [uniform_mean, uniform_var] = moments(rand({200000}, g));
  CHECK(uniform_mean == doctest::Approx(0.5).epsilon(0.005));
  CHECK(uniform_var == doctest::Approx(1.0 / 12).epsilon(0.01));
  const auto [normal_mean, normal_var] = moments(randn({200000}, g));
  CHECK(std::abs(normal_mean) < 0.01);
  CHECK(normal_var == doctest::Approx(1).epsilon(0.02));
  const auto [integer_mean, integer_var] = moments(randint({200000}, 0, 10, g));
  CHECK(integer_mean == doctest::Approx(4.5).epsilon(0.01));
  CHECK(integer_var == doctest::Approx(8.25).epsilon(0.02));
}
