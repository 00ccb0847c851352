#include <doctest/doctest.h>
#include <ops/array.h>
#include <ops/op_case.h>
#include <tenet/ops/concatenate.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/stream.h>

using namespace tenet;
using namespace tenet::test;

TEST_CASE("op table: together and apart") {
  const Tensor x = zeros({2, 3});
  run({.op = "concatenate",
       .inputs = {{.shape = {2, 3}}, {.shape = {2, 0}}, {.shape = {2, 1}}},
       .function = [](const Tensors& t) { return concatenate(t, -1); },
       .reference =
           [](const Arrays& t) {
             const int64_t n = t[0].shape[1];
             return array_of({2, n + t[2].shape[1]}, [&](const Index& i) {
               return i[1] < n ? at(t[0], i) : at(t[2], {i[0], i[1] - n});
             });
           },
       .types = any_types,
       .errors =
           {{[=] { concatenate({}, 0); }, "concatenate: no tensors"},
            {[=] {
               concatenate({x, zeros({3, 3})}, 1);
             },
             "concatenate: shapes (2, 3) and (3, 3) differ outside axis 1"},
            {[=] {
               concatenate({x, zeros({2})}, 0);
             },
             "concatenate: shapes (2, 3) and (2,) differ outside axis 0"},
            {[=] {
               concatenate({empty_fixed({1}, 16), empty_fixed({1}, 8)}, 0);
             },
             "concatenate: fixed32 with 16 fraction bits and fixed32 with 8 do not go together"}}});
  run({.op = "stack",
       .inputs = {{.shape = {2, 3}}, {.shape = {2, 3}}},
       .function = [](const Tensors& t) { return stack(t, 1); },
       .reference =
           [](const Arrays& t) {
             return array_of({2, 2, 3}, [&](const Index& i) {
               return at(t[static_cast<size_t>(i[1])], {i[0], i[2]});
             });
           },
       .types = any_types,
       .errors = {{[=] {
                     stack({x, zeros({3})}, 0);
                   },
                   "stack: shapes (2, 3) and (3,) differ"},
                  {[=] { stack({}, 0); }, "stack: no tensors"}}});
  run({.op = "split",
       .inputs = {{.shape = {5, 2}}},
       .function =
           [](const Tensors& t) {
             return split(t[0], {1, 0, 4}, 0);
           },
       .reference =
           [](const Arrays& t) {
             return Arrays{array_of({1, 2}, [&](const Index& i) { return at(t[0], i); }),
                           Array{{0, 2}, {}}, array_of({4, 2}, [&](const Index& i) {
                             return at(t[0], {i[0] + 1, i[1]});
                           })};
           },
       .types = any_types,
       .errors = {{[=] {
                     split(x, {2, 3}, 1);
                   },
                   "split: sizes add up to 5, axis 1 has size 3"},
                  {[=] {
                     split(x, {4, -1}, 1);
                   },
                   "split: size -1 is negative"}}});
}

TEST_CASE("op table: pad, flip and roll") {
  const Tensor x = zeros({2, 3});
  run({.op = "pad",
       .inputs = {{.shape = {2, 3}}},
       .function = [](const Tensors& t) { return pad(t[0], 1, 2, 1, 1); },
       .reference =
           [](const Arrays& t) {
             return array_of({2, 6}, [&](const Index& i) {
               return i[1] < 2 || i[1] > 4 ? 1.0 : at(t[0], {i[0], i[1] - 2});
             });
           },
       .types = any_types,
       .errors = {{[=] { pad(x, 1, -1, 0); },
                   "pad: -1 before and 0 after; slice() takes elements away"}}});
  run({.op = "flip",
       .inputs = {{.shape = {3, 4}}},
       .function = [](const Tensors& t) { return flip(t[0], 0); },
       .reference =
           [](const Arrays& t) {
             const int64_t n = t[0].shape[0];
             return array_of(t[0].shape, [&](const Index& i) {
               return at(t[0], {n - 1 - i[0], i[1]});
             });
           },
       .types = any_types,
       .shapes = {{{0, 2}}, {{1, 2}}},
       .errors = {{[=] { flip(x, 2); }, "flip: axis 2 is out of range for 2 dimensions"}}});
  run({.op = "roll",
       .inputs = {{.shape = {2, 5}}},
       .function = [](const Tensors& t) { return roll(t[0], -7, 1); },
       .reference =
           [](const Arrays& t) {
             const int64_t n = t[0].shape[1];
             return array_of(t[0].shape, [&](const Index& i) {
               return at(t[0], {i[0], (i[1] + 7) % n});
             });
           },
       .types = any_types,
       .shapes = {{{2, 0}}, {{2, 1}}},
       .errors = {{[=] { roll(x, 1, 2); }, "roll: axis 2 is out of range for 2 dimensions"}}});
}

TEST_CASE("concatenate gives the common type and keeps fixed32") {
  CHECK(concatenate({ones({1}, {DType::i32}), ones({1}, {DType::bf16})}, 0).dtype() == DType::bf16);
  const Tensor a = encode(full({2, 2}, 1.0), 16), b = encode(full({1, 2}, -2.0), 16);
  const Tensor y = concatenate({a, b}, 0);
  CHECK(y.fraction_bits() == 16);
  CHECK(decode(y).to_vector<float>() == std::vector<float>{1, 1, 1, 1, -2, -2});
  CHECK(decode(flip(y, 0)).to_vector<float>() == std::vector<float>{-2, -2, 1, 1, 1, 1});
  CHECK(decode(pad(roll(y, 1, 0), 0, 0, 1)).to_vector<float>() ==
        std::vector<float>{-2, -2, 1, 1, 1, 1, 0, 0});
}
