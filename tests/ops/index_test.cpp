#include <doctest/doctest.h>
#include <ops/array.h>
#include <ops/op_case.h>
#include <tenet/core/parallel.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/embedding.h>
#include <tenet/ops/index.h>
#include <tenet/ops/reduce.h>

using namespace tenet;
using namespace tenet::test;

namespace {

OpInput places(Shape shape, std::vector<double> values, DType dtype = DType::i64) {
  return {.shape = shape, .dtype = dtype, .values = std::move(values), .differentiable = false};
}

int64_t whole(double value) { return static_cast<int64_t>(value); }

}  // namespace

TEST_CASE("op table: slices by index") {
  const Tensor x = zeros({4, 3});
  run({.op = "index_select",
       .inputs = {{.shape = {2, 4, 3}}, places({5}, {3, 0, 0, 2, 3})},
       .function = [](const Tensors& t) { return index_select(t[0], 1, t[1]); },
       .reference =
           [](const Arrays& t) {
             return array_of({2, t[1].shape[0], 3}, [&](const Index& i) {
               return at(t[0], {i[0], whole(t[1].values[static_cast<size_t>(i[1])]), i[2]});
             });
           },
       .types = any_types,
       .shapes = {{{2, 4, 3}, {0}}},
       .errors = {{[=] {
                     index_select(x, 0, zeros({2, 2}, {DType::i64}));
                   },
                   "index_select: index has shape (2, 2); one axis is needed"},
                  {[=] { index_select(x, 0, zeros({2})); },
                   "index_select: indices are f32; i64 or i32 is needed"},
                  {[=] {
                     index_select(x, 0, from_vector<int64_t>({0, 4, -1}, {3}));
                   },
                   "index_select: index 4 at position 1 is outside 0..3"}}});
  run({.op = "embedding",
       .inputs = {{.shape = {4, 3}}, places({2, 3}, {1, 3, 1, 0, 1, 1}, DType::i32)},
       .function = [](const Tensors& t) { return embedding(t[0], t[1]); },
       .reference =
           [](const Arrays& t) {
             Shape shape = t[1].shape;
             shape.push_back(3);
             return array_of(shape, [&](const Index& i) {
               const Index token(i.begin(), i.end() - 1);
               return at(t[0], {whole(at(t[1], token)), i.back()});
             });
           },
       .types = any_types,
       .shapes = {{{4, 3}, {}}, {{4, 3}, {0, 2}}},
       .errors = {{[=] {
                     embedding(x, from_vector<int64_t>({0, 1, 2, 3, 0, 300}, {2, 3}));
                   },
                   "embedding: index 300 at position 5 is outside 0..3"},
                  {[=] {
                     embedding(x, from_vector<int32_t>({0, -1}, {2}));
                   },
                   "embedding: index -1 at position 1 is outside 0..3"},
                  {[=] { embedding(ones({3}), zeros({1}, {DType::i64})); },
                   "embedding: weight has shape (3,); (V, D) is needed"}}});
}

TEST_CASE("op table: elements by index") {
  const Tensor x = zeros({4, 3});
  run({.op = "gather",
       .inputs = {{.shape = {3, 4}}, places({2, 5}, {0, 3, 3, 1, 2, 2, 2, 2, 0, 1})},
       .function = [](const Tensors& t) { return gather(t[0], t[1], 1); },
       .reference =
           [](const Arrays& t) {
             return array_of(t[1].shape, [&](const Index& i) {
               return at(t[0], {i[0], whole(at(t[1], i))});
             });
           },
       .types = any_types,
       .shapes = {{{3, 4}, {0, 5}}, {{3, 4}, {3, 0}}},
       .errors = {{[=] {
                     gather(x, zeros({5, 1}, {DType::i64}), 1);
                   },
                   "gather: index shape (5, 1) does not fit into (4, 3) outside axis 1"},
                  {[=] {
                     gather(x, full({1, 3}, 7, {DType::i64}), 0);
                   },
                   "gather: index 7 at position 0 is outside 0..3"}}});
  run({.op = "take_along",
       .inputs = {{.shape = {3, 4}}, places({1, 2}, {3, 1})},
       .function = [](const Tensors& t) { return take_along(t[0], t[1], -1); },
       .reference =
           [](const Arrays& t) {
             return array_of({3, 2}, [&](const Index& i) {
               return at(t[0], {i[0], whole(at(t[1], {0, i[1]}))});
             });
           },
       .types = any_types,
       .errors = {{[=] { take_along(x, zeros({2}, {DType::i64}), 0); },
                   "take_along: index shape (2,) and shape (4, 3) differ in dimensions"}}});
  run({.op = "scatter_add",
       .inputs = {{.shape = {3, 4}}, places({2, 4}, {0, 2, 1, 0, 0, 0, 2, 2}), {.shape = {2, 4}}},
       .function = [](const Tensors& t) { return scatter_add(t[0], t[1], t[2], 0); },
       .reference =
           [](const Arrays& t) {
             Array y = t[0];
             for (int64_t i = 0; i < t[1].shape.numel(); ++i) {
               const Index from = index_of(t[1].shape, i);
               y.values[static_cast<size_t>(place(y.shape, {whole(at(t[1], from)), from[1]}))] +=
                   at(t[2], from);
             }
             return y;
           },
       .types = number_types,
       .errors = {{[=] {
                     scatter_add(x, zeros({1, 3}, {DType::i64}), zeros({3, 1}), 0);
                   },
                   "scatter_add: src has shape (3, 1), index (1, 3)"},
                  {[=] {
                     scatter_add(x, full({1, 3}, -2, {DType::i64}), zeros({1, 3}), 0);
                   },
                   "scatter_add: index -2 at position 0 is outside 0..3"}}});
}

TEST_CASE("op table: one_hot and masked_fill") {
  const Tensor x = zeros({4, 3});
  run({.op = "one_hot",
       .inputs = {places({2, 2}, {0, 2, 1, 2})},
       .function = [](const Tensors& t) { return one_hot(t[0], 3); },
       .reference =
           [](const Arrays& t) {
             return array_of({2, 2, 3}, [&](const Index& i) {
               return at(t[0], {i[0], i[1]}) == i[2] ? 1.0 : 0.0;
             });
           },
       .types = {DType::f32},
       .differentiable = false,
       .errors = {{[] { one_hot(arange(5), 3); },
                   "one_hot: index 3 at position 3 is outside 0..2"}}});
  run({.op = "masked_fill",
       .inputs =
           {{.shape = {2, 3}},
            {.shape = {3}, .dtype = DType::boolean, .values = {0, 1, 0}, .differentiable = false}},
       .function = [](const Tensors& t) { return masked_fill(t[0], t[1], 7); },
       .reference =
           [](const Arrays& t) {
             return array_of({2, 3}, [&](const Index& i) { return i[1] == 1 ? 7.0 : at(t[0], i); });
           },
       .types = number_types,
       .errors = {{[=] {
                     masked_fill(x, ones({2, 3}, {DType::boolean}), 0);
                   },
                   "masked_fill: mask shape (2, 3) does not broadcast to (4, 3)"}}});
}

TEST_CASE("the table's gradient is the same for any number of threads and accurate in bf16") {
  Generator generator(3);
  Tensor weight = randn({11, 70}, generator).set_requires_grad(true);
  const Tensor tokens = randint({3000}, 0, 11, generator), dy = randn({3000, 70}, generator);
  const auto gradient = [&](DType dtype) {
    return grad({embedding(weight.to(dtype), tokens)}, {weight}, {.dy = {dy.to(dtype)}})[0]
        .to_vector<float>();
  };
  const int threads = num_threads();
  set_num_threads(1);
  const std::vector<float> one = gradient(DType::f32);
  set_num_threads(3);
  CHECK(gradient(DType::f32) == one);
  set_num_threads(threads);
  std::vector<double> expected(11 * 70);
  const std::vector<int64_t> token = tokens.to_vector<int64_t>();
  const std::vector<double> rows = dy.to(DType::bf16).to_vector<double>();
  for (size_t i = 0; i < token.size(); ++i) {
    for (size_t j = 0; j < 70; ++j)
      expected[static_cast<size_t>(token[i]) * 70 + j] += rows[i * 70 + j];
  }
  const std::vector<float> half = gradient(DType::bf16);
  double worst = 0;
  for (size_t i = 0; i < half.size(); ++i) {
    worst = std::max(worst, std::abs(half[i] - expected[i]) / std::max(1.0, std::abs(expected[i])));
  }
  CHECK(worst <= 4e-3);
}

TEST_CASE("an index changed after use is an error, not a wrong gradient") {
  Tensor x = ones({3, 2}).set_requires_grad(true), index = from_vector<int64_t>({0, 2}, {2});
  const Tensor y = sum(index_select(x, 0, index));
  index.mutable_data<int64_t>()[0] = 1;
  CHECK_THROWS_AS(backward(y), Error);
}
