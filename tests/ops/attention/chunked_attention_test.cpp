/// Promise: attention over chunks is what its definition says, evaluated slot by slot in double;
/// its gradient is the derivative of that definition, taken by complex steps.
#include <doctest/doctest.h>
#include <ops/op_case.h>
#include <tenet/core/autograd.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/attention/chunked_attention.h>
#include <tenet/ops/attention/lsh_attention.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/reduce.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "chunked_definition.h"

using namespace tenet;
using namespace tenet::test;

namespace {

struct Sizes {
  int64_t B, H, L, K;
};

/// The elements of one head of x (B, H, L, K), with a derivative along `d` if it is given.
Definition::Rows head_of(const Tensor& x, const Tensor& d, int64_t head) {
  constexpr double step = 1e-30;
  const std::vector<double> values = x.to_vector<double>(), ds = d.to_vector<double>();
  const auto L = static_cast<size_t>(x.size(2)), K = static_cast<size_t>(x.size(3));
  Definition::Rows rows(L, Definition::Row(K));
  for (size_t i = 0; i < L * K; ++i) {
    const size_t at = static_cast<size_t>(head) * L * K + i;
    rows[i / K][i % K] = {values[at], step * ds[at]};
  }
  return rows;
}

using Rounds = std::vector<std::vector<int64_t>>;

/// The buckets of one head, by round and position, from those of all.
Rounds rounds_of(const std::vector<int64_t>& hashed, int64_t head, int64_t rounds, int64_t length) {
  Rounds buckets;
  for (int64_t r = 0; r < rounds; ++r) {
    const auto first = hashed.begin() + (head * rounds + r) * length;
    buckets.emplace_back(first, first + length);
  }
  return buckets;
}

struct Errors {
  double y = 0, gradient = 0;
};

/// Of one random case against the definition: y, and the derivative of <c, y> along a random
/// direction.
Errors errors_of(const ChunkedLshOptions& o, bool lsh, int64_t rounds, const Sizes& size,
                 uint64_t seed) {
  const Shape shape{size.B, size.H, size.L, size.K};
  const auto numbers = [&](uint64_t n) { return random(shape, seed * 16 + n, DType::f64); };
  const Tensor q = numbers(0), k = lsh ? q : numbers(1), v = numbers(2), c = numbers(3);
  const Tensor dq = numbers(4), dk = lsh ? dq : numbers(5), dv = numbers(6);
  const int64_t columns = std::reduce(o.factors.begin(), o.factors.end()) / 2;
  const Tensor rotations = random({size.H, size.K, rounds, columns}, seed * 16 + 7, DType::f64);
  Tensor x = q.clone().set_requires_grad(true), z = k.clone().set_requires_grad(true),
         w = v.clone().set_requires_grad(true);
  const Tensor y =
      lsh ? chunked_lsh_attention(x, w, rotations, o) : chunked_local_attention(x, z, w, o);
  const Tensors d = lsh ? grad({y}, {x, w}, {.dy = {c}}) : grad({y}, {x, w, z}, {.dy = {c}});
  double along = sum(d[0] * dq).item<double>() + sum(d[1] * dv).item<double>();
  if (!lsh) along += sum(d[2] * dk).item<double>();

  Definition definition{.o = o, .lsh = lsh, .rounds = rounds};
  const std::vector<int64_t> hashed =
      lsh ? lsh_hash(q, rotations, o.factors).to_vector<int64_t>() : std::vector<int64_t>();
  const std::vector<double> got = y.to_vector<double>(), cs = c.to_vector<double>();
  Errors errors;
  double derivative = 0, largest = 1;
  for (int64_t head = 0; head < size.B * size.H; ++head) {
    definition.used.clear();
    if (o.mask.defined()) {
      const std::vector<int64_t> all = o.mask.to_vector<int64_t>();
      for (int64_t i = 0; i < size.L; ++i) {
        definition.used.push_back(all[static_cast<size_t>(head / size.H * size.L + i)] != 0);
      }
    }
    const auto buckets = lsh ? rounds_of(hashed, head, rounds, size.L) : Rounds();
    const Definition::Rows rows =
        definition.run(head_of(q, dq, head), head_of(k, dk, head), head_of(v, dv, head), buckets);
    for (int64_t i = 0; i < size.L * size.K; ++i) {
      const Complex want = rows[static_cast<size_t>(i / size.K)][static_cast<size_t>(i % size.K)];
      const auto at = static_cast<size_t>(head * size.L * size.K + i);
      errors.y = std::max(errors.y,
                          std::abs(got[at] - want.real()) / std::max(1.0, std::abs(want.real())));
      derivative += cs[at] * want.imag() / 1e-30;
      largest = std::max(largest, std::abs(cs[at] * want.imag() / 1e-30));
    }
  }
  errors.gradient = std::abs(along - derivative) / std::max(largest, std::abs(derivative));
  return errors;
}

/// The worst of `cases` random shapes and options.
Errors worst_of(const ChunkedLshOptions& preset, bool lsh, int cases, uint32_t seed) {
  std::mt19937 dice(seed);
  const auto roll = [&](int64_t low, int64_t high) {
    return low + static_cast<int64_t>(dice() % static_cast<uint32_t>(high - low + 1));
  };
  const std::vector<std::vector<int64_t>> factors{{2}, {4}, {6}, {2, 4}, {4, 2, 2}};
  Errors worst;
  for (int i = 0; i < cases; ++i) {
    ChunkedLshOptions o = preset;
    o.chunk = roll(1, 5);
    o.before = roll(0, 3);
    o.after = roll(0, 2);
    o.causal = roll(0, 1) == 0;
    o.factors = factors[static_cast<size_t>(roll(0, 4))];
    const int64_t chunks = roll(0, 5);
    const Sizes size{roll(1, 2), roll(1, 2), chunks == 0 ? roll(1, o.chunk) : chunks * o.chunk,
                     roll(1, 5)};
    if (roll(0, 1) == 1) {
      std::vector<bool> used;
      for (int64_t n = 0; n < size.B * size.L; ++n) used.push_back(roll(0, 3) > 0);
      o.mask = from_vector(std::vector<uint8_t>(used.begin(), used.end()), {size.B, size.L})
                   .to(DType::boolean);
    }
    const Errors errors = errors_of(o, lsh, roll(1, 3), size, seed + static_cast<uint64_t>(i));
    CAPTURE(i);
    REQUIRE(errors.y < 1e-10);
    REQUIRE(errors.gradient < 1e-10);
    worst.y = std::max(worst.y, errors.y);
    worst.gradient = std::max(worst.gradient, errors.gradient);
  }
  return worst;
}

const ChunkedLshOptions hugging_face{{.weighing = Weighing::rounded}};
const ChunkedLshOptions trax{{.hiding = Hiding::add}};
const ChunkedLshOptions paper{{.hiding = Hiding::add}, {}, true, true};

void check_presets(int cases) {
  const struct {
    const char* name;
    ChunkedLshOptions options;
    bool lsh;
  } presets[] = {{"hugging_face", hugging_face, true},
                 {"trax", trax, true},
                 {"paper", paper, true},
                 {"local, rounded", hugging_face, false},
                 {"local", trax, false}};
  for (const auto& [name, options, lsh] : presets) {
    const Errors worst = worst_of(options, lsh, cases, 1);
    MESSAGE(std::string(name) << ", " << cases << " cases: off by " << worst.y << ", gradient by "
                              << worst.gradient);
  }
}

/// The definition as the reference of an op row whose inputs are q, k, v or qk, v, rotations.
OpReference by_definition(const ChunkedLshOptions& o, bool lsh) {
  return [=](const Arrays& in) {
    const Shape shape = in[0].shape;
    Array y{shape, std::vector<double>(static_cast<size_t>(shape.numel()))};
    if (shape.numel() == 0) return y;
    const auto tensor = [](const Array& x) { return from_vector(x.values, x.shape, {DType::f64}); };
    const Tensor q = tensor(in[0]), k = lsh ? q : tensor(in[1]), v = tensor(in[lsh ? 1 : 2]);
    const int64_t rounds = lsh ? in[2].shape[2] : 1;
    const std::vector<int64_t> hashed =
        lsh ? lsh_hash(q, tensor(in[2]), o.factors).to_vector<int64_t>() : std::vector<int64_t>();
    const Definition definition{.o = o, .lsh = lsh, .rounds = rounds};
    const Tensor none = zeros(shape, {DType::f64});
    for (int64_t head = 0; head < shape[0] * shape[1]; ++head) {
      const auto buckets = lsh ? rounds_of(hashed, head, rounds, shape[2]) : Rounds();
      const Definition::Rows rows = definition.run(head_of(q, none, head), head_of(k, none, head),
                                                   head_of(v, none, head), buckets);
      for (int64_t i = 0; i < shape[2] * shape[3]; ++i) {
        y.values[static_cast<size_t>(head * shape[2] * shape[3] + i)] =
            rows[static_cast<size_t>(i / shape[3])][static_cast<size_t>(i % shape[3])].real();
      }
    }
    return y;
  };
}

}  // namespace

TEST_CASE("op table: attention over chunks") {
  OpCase row;
  const Tensor a = zeros({2, 3, 6, 4}), other = zeros({2, 3, 6, 5}), turns = zeros({3, 4, 2, 2});
  SUBCASE("chunked_local_attention") {
    const ChunkOptions o{.chunk = 2, .before = 1, .after = 1, .causal = false};
    row = {.op = "chunked_local_attention", .types = real_types};
    row.inputs = {{.shape = {2, 2, 6, 3}}, {.shape = {2, 2, 6, 3}}, {.shape = {2, 2, 6, 3}}};
    row.function = [=](const Tensors& x) { return chunked_local_attention(x[0], x[1], x[2], o); };
    row.reference = by_definition({o}, false);
    const Shape one{1, 1, 1, 1}, none{0, 2, 4, 3};
    row.shapes = {{one, one, one}, {none, none, none}};
    row.errors = {{[=] { chunked_local_attention(a, other, a); },
                   "chunked_local_attention: q has shape (2, 3, 6, 4), k has (2, 3, 6, 5)"},
                  {[=] { chunked_local_attention(a, a, a, {.chunk = 4}); },
                   "chunked_local_attention: length 6 is not a multiple of the chunk 4; pad it"},
                  {[=] { chunked_local_attention(a, a, a, {.chunk = 0}); },
                   "chunked_local_attention: chunk is 0, not positive"},
                  {[=] { chunked_local_attention(a, a, a, {.before = -1}); },
                   "chunked_local_attention: before is -1 and after is 0, below 0"},
                  {[=] {
                     chunked_local_attention(a, a, a, {.mask = zeros({2, 5}, {DType::boolean})});
                   },
                   "chunked_local_attention: mask has shape (2, 5), tensors of shape (2, 3, 6, 4) "
                   "need (2, 6)"},
                  {[=] {
                     chunked_local_attention(a, a, a, {.mask = zeros({2, 6})});
                   },
                   "chunked_local_attention: mask is f32, not boolean"}};
  }
  SUBCASE("chunked_lsh_attention") {
    ChunkedLshOptions o;
    o.chunk = 2, o.factors = {4}, o.hiding = Hiding::add;
    row = {.op = "chunked_lsh_attention"};
    row.inputs = {{.shape = {2, 2, 6, 3}},
                  {.shape = {2, 2, 6, 3}},
                  {.shape = {2, 3, 2, 2}, .differentiable = false}};
    row.function = [=](const Tensors& x) { return chunked_lsh_attention(x[0], x[1], x[2], o); };
    row.reference = by_definition(o, true);
    row.errors = {
        {[=] { chunked_lsh_attention(a, other, turns, o); },
         "chunked_lsh_attention: qk has shape (2, 3, 6, 4), v has (2, 3, 6, 5)"},
        {[=] {
           chunked_lsh_attention(a, a, zeros({3, 4, 2, 3}), o);
         },
         "lsh_hash: rotations have shape (3, 4, 2, 3), qk (2, 3, 6, 4) needs (3, 4, R, 2)"}};
  }
  SUBCASE("lsh_order") {
    row = {.op = "lsh_order", .result = DType::i64, .differentiable = false};
    row.inputs = {{.shape = {1, 1, 4, 1}, .values = {3, -1, 2, -5}},
                  {.shape = {1, 1, 2, 1}, .values = {1, -1}}};
    row.function = [](const Tensors& x) {
      const LshOrder sorted = lsh_order(x[0], x[1], {2});
      return Tensors{sorted.buckets, sorted.order};
    };
    // Negative products hash to bucket 1; the second round's buckets begin at 2.
    row.reference = [](const Arrays&) {
      return Arrays{{{1, 1, 8}, {0, 1, 0, 1, 3, 2, 3, 2}}, {{1, 1, 8}, {0, 2, 1, 3, 5, 7, 4, 6}}};
    };
  }
  run(row);
}

TEST_CASE("attention over chunks is its definition") { check_presets(400); }

TEST_CASE("attention over chunks is its definition, often" * doctest::test_suite("slow")) {
  check_presets(4000);
}

TEST_CASE("a position that the mask leaves out sorts last, in a bucket of its own") {
  const Tensor qk = from_vector<float>({3, -1, 2, -5}, {1, 1, 4, 1});
  const Tensor rotations = from_vector<float>({1, -1}, {1, 1, 2, 1});
  const Tensor mask = from_vector<uint8_t>({0, 1, 1, 1}, {1, 4}).to(DType::boolean);
  const LshOrder sorted = lsh_order(qk, rotations, {2}, mask);
  CHECK(sorted.buckets.to_vector<int64_t>() == std::vector<int64_t>{2, 1, 0, 1, 5, 3, 4, 3});
  CHECK(sorted.order.to_vector<int64_t>() == std::vector<int64_t>{2, 1, 3, 0, 5, 7, 6, 4});
  const LshOrder all = lsh_order(qk, rotations, {2}, ones({1, 4}, {DType::boolean}));
  CHECK(all.buckets.to_vector<int64_t>() == std::vector<int64_t>{0, 1, 0, 1, 3, 2, 3, 2});
}

TEST_CASE("attention over chunks is computed in f32 under Autocast as well") {
  const Tensor qk = randn({2, 2, 16, 8}), v = randn({2, 2, 16, 8}), rotations = randn({2, 8, 2, 1});
  const auto run = [&](Weighing weighing, Hiding hiding) {
    ChunkedLshOptions o;
    o.chunk = 8, o.factors = {2}, o.causal = true, o.weighing = weighing, o.hiding = hiding;
    return chunked_lsh_attention(qk, v, rotations, o);
  };
  for (const Weighing weighing : {Weighing::softmax, Weighing::rounded}) {
    for (const Hiding hiding : {Hiding::replace, Hiding::add}) {
      const std::vector<float> want = run(weighing, hiding).to_vector<float>();
      for (const DType dtype : {DType::bf16, DType::f16}) {
        const Autocast scope(dtype);
        CHECK(run(weighing, hiding).to_vector<float>() == want);
      }
    }
  }
}
