#include <doctest/doctest.h>
#include <gradcheck.h>
#include <ops/op_case.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/inplace.h>
#include <tenet/ops/stream.h>

using namespace tenet;
using namespace tenet::test;

namespace {

using Values = std::vector<double>;

}  // namespace

TEST_CASE("in-place writes change the elements and count") {
  const Tensor x = zeros({2, 2});
  uint32_t version = x.version();
  const auto counted = [&] {
    const bool once = x.version() == version + 1;
    version = x.version();
    return once;
  };
  fill_(x, 2);
  CHECK(x.to_vector<double>() == Values{2, 2, 2, 2});
  CHECK(counted());
  add_(x, from_vector<float>({1, 3}, {2}));
  CHECK(x.to_vector<double>() == Values{3, 5, 3, 5});
  CHECK(counted());
  add_(x, ones({2, 1}), -0.5);
  CHECK(x.to_vector<double>() == Values{2.5, 4.5, 2.5, 4.5});
  CHECK(counted());
  add_(x, 1);
  CHECK(x.to_vector<double>() == Values{3.5, 5.5, 3.5, 5.5});
  CHECK(counted());
  mul_(x, 2);
  CHECK(x.to_vector<double>() == Values{7, 11, 7, 11});
  CHECK(counted());
  copy_(x, from_vector<int64_t>({4, 5}, {2, 1}));
  CHECK(x.to_vector<double>() == Values{4, 4, 5, 5});
  CHECK(counted());
}

TEST_CASE("in-place writes reach through views") {
  const Tensor base = arange(12);
  const Tensor column = detail::view_of(base, {3}, {4}, 1);
  fill_(column, 0);
  add_(column, from_vector<int64_t>({1, 2, 3}, {3}), 10);
  CHECK(base.to_vector<double>() == Values{0, 10, 2, 3, 4, 20, 6, 7, 8, 30, 10, 11});
  mul_(column, 2);
  CHECK(base.to_vector<double>()[5] == 40);
}

TEST_CASE("source and destination may overlap") {
  const Tensor x = arange(6);
  copy_(detail::view_of(x, {5}, {1}, 1), detail::view_of(x, {5}, {1}, 0));
  CHECK(x.to_vector<double>() == Values{0, 0, 1, 2, 3, 4});
  const Tensor y = arange(4);
  add_(detail::view_of(y, {3}, {1}, 1), detail::view_of(y, {3}, {1}, 0));
  CHECK(y.to_vector<double>() == Values{0, 1, 3, 5});
  add_(y, y);
  CHECK(y.to_vector<double>() == Values{0, 2, 6, 10});
}

TEST_CASE("in-place writes never promote") {
  const Tensor integers = ones({2}, {DType::i64}), half = ones({2}, {DType::bf16});
  check_error([&] { add_(integers, ones({2})); },
              "add_: the result is f32, the tensor i64; use the functional form");
  check_error([&] { add_(half, ones({2})); },
              "add_: the result is f32, the tensor bf16; use the functional form");
  check_error([&] { add_(integers, integers, 0.5); },
              "add_: the result is f32, the tensor i64; use the functional form");
  check_error([&] { mul_(integers, 0.5); },
              "mul_: the result is f32, the tensor i64; use the functional form");
  check_error([&] { add_(integers, 0.5); },
              "add_: the result is f32, the tensor i64; use the functional form");
  add_(ones({2}), half);
  add_(half, integers, 0.5);
  CHECK(half.to_vector<double>() == Values{1.5, 1.5});
}

TEST_CASE("in-place writes into the graph are errors") {
  const Tensor leaf = ones({2}, {.requires_grad = true});
  const Tensor constant = ones({2});
  check_error([&] { add_(leaf, constant); },
              "add_: the tensor is part of the graph; use NoGrad or the functional form");
  check_error([&] { mul_(leaf * 2, 2); },
              "mul_: the tensor is part of the graph; use NoGrad or the functional form");
  check_error([&] { fill_(leaf, 2); },
              "fill_: the tensor is part of the graph; use NoGrad or the functional form");
  check_error([&] { copy_(leaf, constant); },
              "copy_: the tensor is part of the graph; use NoGrad or the functional form");
  check_error([&] { add_(constant, leaf); },
              "add_: the source needs a gradient; use NoGrad or the functional form");
  const NoGrad scope;
  add_(leaf, constant);
  CHECK(leaf.to_vector<double>() == Values{2, 2});
}

TEST_CASE("a saved tensor that is written to is an error in backward") {
  Tensor w = ones({2}, {.requires_grad = true});
  Tensor x = ones({2});
  const Tensor y = w * x;
  fill_(x, 3);
  check_error(
      [&] { backward(y, {.dy = ones({2})}); },
      "mul: saved b of shape (2,) was changed in place after it was saved (version 1, saved at 0); "
      "change a clone() instead");
}

TEST_CASE("what cannot be written") {
  const Tensor repeated = detail::view_of(zeros({1}), {3}, {0}, 0);
  check_error(
      [&] { fill_(repeated, 1); },
      "fill_: the tensor of shape (3,) repeats its elements along axis 0; clone() it first");
  check_error([] { add_(zeros({2}), zeros({3})); }, "add_: shape (3,) does not broadcast to (2,)");
  check_error(
      [] {
        copy_(zeros({2}), zeros({2, 2}));
      },
      "copy_: shape (2, 2) does not broadcast to (2,)");
  const Tensor stream = encode(ones({2}), 16);
  check_error([&] { add_(stream, stream); }, "add_: fixed-point stream; decode() it first");
  check_error([&] { fill_(stream, 1); }, "fill_: fixed-point stream; copy_() an encode()d tensor");
  check_error([&] { copy_(stream, encode(ones({2}), 8)); },
              "copy_: fixed32 with 8 fraction bits to fixed32 with 16; use encode() or decode()");
  fill_(stream, 0);
  CHECK(decode(stream).to_vector<double>() == Values{0, 0});
  copy_(stream, encode(ones({1}), 16));
  CHECK(decode(stream).to_vector<double>() == Values{1, 1});
}
