#include <doctest/doctest.h>
#include <ops/array.h>
#include <ops/op_case.h>
#include <tenet/core/view.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/reduce.h>
#include <tenet/ops/views.h>

#include <limits>

using namespace tenet;
using namespace tenet::test;

namespace {

/// The same elements in order under another shape.
OpReference as_shape(Shape shape) {
  return [shape](const Arrays& x) { return Array{shape, x[0].values}; };
}

bool shares_storage(const Tensor& a, const Tensor& b) {
  return a.body().storage.get() == b.body().storage.get();
}

}  // namespace

TEST_CASE("op table: shapes") {
  const Tensor x = zeros({2, 3});
  run({.op = "reshape",
       .inputs = {{.shape = {2, 6}}},
       .function =
           [](const Tensors& t) {
             return reshape(t[0], {3, -1});
           },
       .reference = as_shape({3, 4}),
       .types = any_types,
       .errors = {
           {[=] {
              reshape(x, {4, -1});
            },
            "reshape: shape (2, 3) has 6 elements, (4, -1) does not fit"},
           {[=] { reshape(x, {5}); }, "reshape: shape (2, 3) has 6 elements, (5,) does not fit"},
           {[=] {
              reshape(x, {-1, -1});
            },
            "reshape: shape (-1, -1) has more than one -1"},
           {[=] {
              reshape(x, {-2, 3});
            },
            "reshape: shape (-2, 3) has a negative size"}}});
  run({.op = "view",
       .inputs = {{.shape = {2, 6}}},
       .function =
           [](const Tensors& t) {
             return view(t[0].contiguous(), {2, 3, 2});
           },
       .reference = as_shape({2, 3, 2}),
       .types = any_types,
       .errors = {
           {[=] { view(transpose(x, 0, 1), {6}); },
            "view: shape (3, 2) with strides (1, 3) has no view of shape (6,); use reshape"}}});
  run({.op = "flatten",
       .inputs = {{.shape = {2, 3, 1, 2}}},
       .function = [](const Tensors& t) { return flatten(t[0], 1, -2); },
       .reference = as_shape({2, 3, 2}),
       .types = any_types,
       .errors = {{[=] { flatten(x, 1, 0); }, "flatten: start axis 1 lies behind end axis 0"},
                  {[=] { flatten(x, 2); }, "flatten: axis 2 is out of range for 2 dimensions"}}});
  run({.op = "squeeze",
       .inputs = {{.shape = {1, 3, 1}}},
       .function = [](const Tensors& t) { return squeeze(t[0], -1); },
       .reference = as_shape({1, 3}),
       .types = any_types,
       .errors = {{[=] { squeeze(x, 1); }, "squeeze: axis 1 has size 3, not 1"}}});
  run({.op = "unsqueeze",
       .inputs = {{.shape = {2, 3}}},
       .function = [](const Tensors& t) { return unsqueeze(t[0], 1); },
       .reference = as_shape({2, 1, 3}),
       .types = any_types,
       .errors = {
           {[=] { unsqueeze(x, 3); }, "unsqueeze: axis 3 is out of range for 3 dimensions"}}});
}

TEST_CASE("op table: order and parts") {
  const Tensor x = zeros({2, 3});
  run({.op = "permute",
       .inputs = {{.shape = {2, 3, 4}}},
       .function =
           [](const Tensors& t) {
             return permute(t[0], {2, 0, -2});
           },
       .reference =
           [](const Arrays& t) {
             return array_of({4, 2, 3}, [&](const Index& i) {
               return at(t[0], {i[1], i[2], i[0]});
             });
           },
       .types = any_types,
       .errors = {{[=] { permute(x, {0}); }, "permute: 1 axes for 2 dimensions"},
                  {[=] {
                     permute(x, {0, -2});
                   },
                   "permute: axis -2 is given twice"}}});
  run({.op = "transpose",
       .inputs = {{.shape = {2, 3, 4}}},
       .function = [](const Tensors& t) { return transpose(t[0], 0, -1); },
       .reference =
           [](const Arrays& t) {
             return array_of({4, 3, 2}, [&](const Index& i) {
               return at(t[0], {i[2], i[1], i[0]});
             });
           },
       .types = any_types,
       .errors = {{[=] { transpose(x, 0, 2); },
                   "transpose: axis 2 is out of range for 2 dimensions"}}});
  run({.op = "slice",
       .inputs = {{.shape = {3, 7}}},
       .function = [](const Tensors& t) { return slice(t[0], 1, -6, 100, 2); },
       .reference =
           [](const Arrays& t) {
             return array_of({3, 3}, [&](const Index& i) {
               return at(t[0], {i[0], 1 + 2 * i[1]});
             });
           },
       .types = any_types,
       .errors = {{[=] { slice(x, 0, 0, 2, 0); },
                   "slice: step 0 is not positive; flip() reverses an axis"}}});
  run({.op = "select",
       .inputs = {{.shape = {3, 4}}},
       .function = [](const Tensors& t) { return select(t[0], 0, -1); },
       .reference =
           [](const Arrays& t) {
             return array_of({4}, [&](const Index& i) { return at(t[0], {2, i[0]}); });
           },
       .types = any_types,
       .errors = {{[=] { select(x, 1, 4); }, "select: index 4 is outside axis 1 of size 3"},
                  {[=] { select(x, 1, -4); }, "select: index -4 is outside axis 1 of size 3"}}});
  run({.op = "chunk",
       .inputs = {{.shape = {2, 5}}},
       .function = [](const Tensors& t) { return chunk(t[0], 3, 1); },
       .reference =
           [](const Arrays& t) {
             Arrays parts;
             for (const auto& [start, size] :
                  std::vector<std::pair<int64_t, int64_t>>{{0, 2}, {2, 2}, {4, 1}}) {
               parts.push_back(array_of({2, size}, [&, start = start](const Index& i) {
                 return at(t[0], {i[0], start + i[1]});
               }));
             }
             return parts;
           },
       .types = any_types,
       .errors = {{[=] { chunk(x, 0, 1); }, "chunk: 0 chunks; at least 1 is needed"}}});
  run({.op = "expand",
       .inputs = {{.shape = {3, 1}}},
       .function =
           [](const Tensors& t) {
             return expand(t[0], {2, 3, 4});
           },
       .reference =
           [](const Arrays& t) {
             return array_of({2, 3, 4}, [&](const Index& i) { return at(t[0], {i[1], 0}); });
           },
       .types = any_types,
       .errors = {{[=] {
                     expand(x, {2, 4});
                   },
                   "expand: shape (2, 3) does not broadcast to (2, 4)"}}});
}

TEST_CASE("slices cut their bounds as NumPy does") {
  const Tensor x = arange(10);
  const auto values = [&](int64_t start, int64_t stop, int64_t step) {
    return slice(x, 0, start, stop, step).to_vector<int64_t>();
  };
  CHECK(values(2, 5, 1) == std::vector<int64_t>{2, 3, 4});
  CHECK(values(-3, -1, 1) == std::vector<int64_t>{7, 8});
  CHECK(values(-100, 100, 4) == std::vector<int64_t>{0, 4, 8});
  CHECK(values(5, 2, 1).empty());
  CHECK(values(10, 12, 1).empty());
  CHECK(values(1, 10, 3) == std::vector<int64_t>{1, 4, 7});
}

TEST_CASE("reshape copies only where strides allow no view") {
  const Tensor x = arange(0, 24, 1, {DType::f32});
  const Tensor cube = reshape(x, {2, 3, 4});
  CHECK(shares_storage(cube, x));
  CHECK(shares_storage(reshape(transpose(cube, 0, 1), {3, 2, 2, 2}), x));
  CHECK(shares_storage(reshape(slice(cube, 1, 0, 2), {2, 8}), x));
  CHECK(shares_storage(reshape(slice(cube, 2, 0, 4, 2), {6, 2, 1}), x));
  CHECK(shares_storage(reshape(slice(cube, 2, 0, 4, 2), {12}), x));
  CHECK(shares_storage(reshape(expand(reshape(x, {24, 1}), {24, 5}), {4, 6, 5}), x));
  CHECK_FALSE(shares_storage(reshape(transpose(cube, 1, 2), {24}), x));
  CHECK_FALSE(shares_storage(reshape(slice(cube, 1, 0, 2), {16}), x));
  CHECK_FALSE(shares_storage(reshape(expand(reshape(x, {24, 1}), {24, 5}), {120}), x));
  CHECK(reshape(transpose(cube, 1, 2), {24}).to_vector<float>()[1] == 4);
}

TEST_CASE("views of empty, zero-dimensional and fixed-point tensors") {
  CHECK(reshape(zeros({0, 3}), {3, 0}).shape() == Shape{3, 0});
  CHECK(reshape(zeros({2, 0}), {-1, 3}).shape() == Shape{0, 3});
  CHECK(flatten(scalar(3)).shape() == Shape{1});
  CHECK(squeeze(zeros({1, 2, 1})).shape() == Shape{2});
  CHECK(chunk(zeros({0, 2}), 3, 0).size() == 1);
  const Tensor stream = empty_fixed({2, 6}, 16);
  for (const Tensor& y :
       {reshape(stream, {3, 4}), transpose(stream, 0, 1), slice(stream, 1, 2, 4),
        select(stream, 0, 1), expand(stream, {2, 2, 6}), chunk(stream, 2, 1)[1]}) {
    CHECK(y.dtype() == DType::fixed32);
    CHECK(y.fraction_bits() == 16);
    CHECK(shares_storage(y, stream));
  }
}

TEST_CASE("parts without a gradient count as zero") {
  Tensor x = ones({5, 2}).set_requires_grad(true);
  const Tensors parts = chunk(x, 3, 0);
  backward(sum(mul(parts[1], 3)));
  CHECK(x.grad().to_vector<float>() == std::vector<float>{0, 0, 0, 0, 3, 3, 3, 3, 0, 0});
}

TEST_CASE("sizes that cannot be are errors") {
  const Tensor x = ones({4});
  const Shape wrapping{4, 4611686018427387905};
  CHECK_THROWS_WITH_AS(reshape(x, wrapping),
                       "reshape: shape (4,) has 4 elements, (4, 4611686018427387905) does not fit",
                       Error);
  CHECK_THROWS_WITH_AS(expand(ones({1}), {-3}),
                       "expand: shape (-3,) has a negative size or too many elements", Error);
  CHECK_THROWS_WITH_AS(from_external(nullptr, {3}, {}, {}),
                       "from_external: data is null for shape (3,)", Error);
  CHECK(slice(x, 0, 1, 4, std::numeric_limits<int64_t>::max()).shape() == Shape{1});
}
