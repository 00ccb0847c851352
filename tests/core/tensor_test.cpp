#include <doctest/doctest.h>
#include <tenet/core/autograd.h>
#include <tenet/core/memory.h>
#include <tenet/core/tensor.h>
#include <tenet/core/version.h>
#include <tenet/core/view.h>

#include <limits>

#include "core/small_ops.h"

using namespace tenet;
using namespace tenet::test;

namespace {

const Tensor& counting() {
  static const Tensor x = from_vector<float>({0, 1, 2, 3, 4, 5}, {2, 3});
  return x;
}

}  // namespace

TEST_CASE("a new tensor has the shape, type and device asked for") {
  const Tensor x = empty({2, 3}, {DType::bf16});
  CHECK(x.defined());
  CHECK(x.shape() == Shape{2, 3});
  CHECK(x.strides() == Strides{3, 1});
  CHECK(x.dim() == 2);
  CHECK(x.numel() == 6);
  CHECK(x.size(-1) == 3);
  CHECK(x.dtype() == DType::bf16);
  CHECK(x.device() == Device::cpu());
  CHECK(x.is_contiguous());
  CHECK_FALSE(x.requires_grad());
  CHECK(empty({2}, {.requires_grad = true}).requires_grad());
  CHECK(empty({0, 5}).numel() == 0);
  CHECK(empty_like(x).dtype() == DType::bf16);
  CHECK(empty_like(x, {7}).shape() == Shape{7});
  CHECK(error_of([] { empty({2, -1}); }) == "empty: shape (2, -1) has a negative size");
  CHECK(error_of([] {
          empty({int64_t{1} << 40, int64_t{1} << 40});
        }) == "empty: shape (1099511627776, 1099511627776) is too large");
  CHECK(error_of([] {
          empty({int64_t{1} << 40, int64_t{1} << 40, 0});
        }) == "empty: shape (1099511627776, 1099511627776, 0) is too large");
  CHECK(error_of([&] { x.size(2); }) == "size: axis 2 is out of range for 2 dimensions");
}

TEST_CASE("an undefined tensor says so") {
  const std::string text = "tensor: used while undefined (default-constructed or moved from)";
  Tensor x = counting();
  const Tensor y = std::move(x);
  CHECK_FALSE(x.defined());
  CHECK(y.defined());
  CHECK(error_of([&] { x.shape(); }) == text);
  CHECK(error_of([&] { plus(x, y); }) == text);
  CHECK(error_of([&] { backward(Tensor()); }) == text);
  CHECK(Tensor().to_string() == "tensor(undefined)");
}

TEST_CASE("elements come from spans and vectors and go back") {
  CHECK(counting().to_vector<double>() == std::vector<double>{0, 1, 2, 3, 4, 5});
  CHECK(from_vector<int64_t>({1, 2}, {2}).dtype() == DType::i64);
  CHECK(from_vector<float>({1.5f, 2}, {2}, {DType::i32}).to_vector<int32_t>() ==
        std::vector<int32_t>{1, 2});
  CHECK(error_of([] { from_vector<float>({1, 2}, {3}); }) == "from_span: 2 values for shape (3,)");
  CHECK(scalar(2.5).item<double>() == 2.5);
  CHECK(scalar(7, {DType::i64}).item<int>() == 7);
  CHECK(scalar(true, {DType::boolean}).item<bool>());
  CHECK(scalar(0.5).item<bool>());
  const int64_t large = (int64_t{1} << 60) + 1;
  CHECK(from_vector<int64_t>({large}, {1}).item<int64_t>() == large);
  CHECK(error_of([] { counting().item<float>(); }) ==
        "item: the tensor has shape (2, 3), not one element");
}

TEST_CASE("data is typed") {
  CHECK(counting().data<float>()[4] == 4);
  CHECK(error_of([] { counting().data<double>(); }) == "data: the tensor holds f32, not f64");
  const Tensor q = empty_fixed({2}, 16);
  CHECK(q.fraction_bits() == 16);
  CHECK(q.data<int32_t>() != nullptr);
  CHECK(error_of([&] { q.data<float>(); }) == "data: the tensor holds fixed32, not f32");
  CHECK(error_of([] { empty_fixed({2}, 31); }) ==
        "empty_fixed: 31 fraction bits; 0 to 30 are allowed");
}

TEST_CASE("views share bytes and versions; copies do not") {
  const Tensor base = counting().clone();
  const Tensor across = transposed(base);
  CHECK(across.shape() == Shape{3, 2});
  CHECK(across.strides() == Strides{1, 3});
  CHECK_FALSE(across.is_contiguous());
  CHECK(across.to_vector<float>() == std::vector<float>{0, 3, 1, 4, 2, 5});
  base.mutable_data<float>()[1] = 10;
  CHECK(across.version() == 1);
  CHECK(across.to_vector<float>()[2] == 10);
  const Tensor copy = across.clone(), row_major = across.contiguous();
  base.mutable_data<float>()[1] = 20;
  CHECK(base.version() == 2);
  CHECK(copy.version() == 0);
  CHECK(copy.is_contiguous());
  CHECK(copy.to_vector<float>()[2] == 10);
  CHECK(row_major.to_vector<float>()[2] == 10);
  CHECK(base.contiguous().data<float>() == base.data<float>());
  CHECK(base.body().storage->users() == 2);
}

TEST_CASE("which layouts are row-major, and which span their storage") {
  const Tensor x = empty({2, 3});
  CHECK(detail::spans_storage(x));
  CHECK_FALSE(detail::spans_storage(detail::view_of(x, {3}, {1}, 0)));
  CHECK_FALSE(detail::view_of(x, {2, 3}, {0, 1}, 0).is_contiguous());
  CHECK(detail::view_of(x, {2, 1, 3}, {3, 77, 1}, 0).is_contiguous());
  CHECK(detail::view_of(x, {2, 0}, {5, 9}, 0).is_contiguous());
  CHECK(detail::view_of(x, {0, 2}, {9, 5}, 0).is_contiguous());
}

TEST_CASE("types convert, and gradients come back in the source's type") {
  const Tensor x = from_vector<double>({-1.75, 0, 2.5}, {3});
  CHECK(x.to(DType::i32).to_vector<int32_t>() == std::vector<int32_t>{-1, 0, 2});
  CHECK(x.to(DType::boolean).to_vector<uint8_t>() == std::vector<uint8_t>{1, 0, 1});
  CHECK(x.to(DType::bf16).to_vector<double>() == std::vector<double>{-1.75, 0, 2.5});
  CHECK(x.to(DType::f64).data<double>() == x.data<double>());
  CHECK(x.to(Device::cpu()).data<double>() == x.data<double>());
  const Tensor half = leaf({3}, 1, DType::bf16);
  backward(total(half.to(DType::f64)));
  CHECK(half.grad().dtype() == DType::bf16);
  CHECK(half.grad().to_vector<float>() == std::vector<float>{1, 1, 1});
  const Tensor f = leaf({3}, 1);
  CHECK_FALSE(f.to(DType::i32).requires_grad());
  CHECK(error_of([&] { x.to(DType::fixed32); }) == "to: use encode() to make a fixed-point stream");
  CHECK(error_of([] { empty_fixed({1}, 16).to(DType::f32); }) ==
        "to: fixed-point stream; decode() it first");
}

TEST_CASE("clone and contiguous are differentiable, detach is not") {
  const Tensor x = leaf({2, 3}, 1);
  const Tensor c = pattern({3, 2}, 2);
  backward(weighted(transposed(x.clone()).contiguous(), c));
  CHECK(same_bits(x.grad(), transposed(c)));
  CHECK_FALSE(x.detach().requires_grad());
  CHECK(x.detach().data<float>() == x.data<float>());
}

TEST_CASE("which tensors can need a gradient") {
  Tensor x = counting().clone();
  CHECK(x.is_leaf());
  CHECK_FALSE(x.grad().defined());
  x.set_requires_grad(true);
  CHECK(x.is_leaf());
  const Tensor y = plus(x, x);
  CHECK_FALSE(y.is_leaf());
  CHECK(error_of([&] { Tensor(y).set_requires_grad(false); }) ==
        "set_requires_grad: the tensor was made by plus; detach() it first");
  CHECK(error_of([] {
          empty({2}, {DType::i32, Device::cpu(), true});
        }) == "set_requires_grad: a tensor of type i32 cannot need a gradient");
  x.set_requires_grad(false);
  CHECK_FALSE(x.requires_grad());
  CHECK(error_of([&] { x.set_grad(counting()); }) ==
        "set_grad: only a leaf that needs a gradient has one");
  x.set_requires_grad(true);
  x.set_grad(counting());
  CHECK(x.grad().to_vector<float>() == counting().to_vector<float>());
  CHECK(error_of([&] { x.set_grad(scalar(1)); }) ==
        "set_grad: the gradient is f32 (), the tensor f32 (2, 3)");
  x.set_grad({});
  CHECK_FALSE(x.grad().defined());
  CHECK(error_of([] { counting().retain_grad(); }) == "retain_grad: the tensor has no graph");
  CHECK(error_of([] { counting().on_grad({}); }) == "on_grad: the tensor has no graph");
}

TEST_CASE("external memory is used in place and given back once") {
  std::vector<float> memory{1, 2, 3};
  int released = 0;
  {
    Tensor view;
    {
      const Tensor x = from_external(memory.data(), {3}, {}, [&] { ++released; });
      CHECK(x.data<float>() == memory.data());
      CHECK(x.body().storage->external());
      x.mutable_data<float>()[0] = 9;
      view = detail::view_of(x, {2}, {1}, 1);
    }
    CHECK(released == 0);
    CHECK(view.to_vector<float>() == std::vector<float>{2, 3});
  }
  CHECK(released == 1);
  CHECK(memory[0] == 9);
}

TEST_CASE("storages count who holds them") {
  Tensor x = empty({3});
  detail::Storage& storage = *x.body().storage.get();
  CHECK(storage.users() == 1);
  CHECK(storage.sole());
  {
    const Tensor same = x, view = x.detach();
    CHECK(storage.users() == 2);
    const Saved saved = x;
    CHECK(storage.savers() == 1);
    CHECK_FALSE(storage.sole());
    CHECK(saved.bytes() == 12);
    CHECK(saved.shape() == Shape{3});
  }
  CHECK(storage.sole());
  CHECK_FALSE(storage.released());
  CHECK(storage.bytes() == 12);
}

TEST_CASE("tensors print their elements, type, shape and device") {
  CHECK(counting().to_string() == "tensor([[0, 1, 2], [3, 4, 5]], f32 (2, 3), cpu)");
  CHECK(transposed(counting()).to_string() == "tensor([[0, 3], [1, 4], [2, 5]], f32 (3, 2), cpu)");
  CHECK(fmt::format("{}", scalar(0.5)) == "tensor(0.5, f32 (), cpu)");
  CHECK(from_vector<int64_t>({1, 2, 3, 4, 5, 6, 7}, {7}).to_string() ==
        "tensor([1, 2, 3, 4, 5, 6, ...], i64 (7,), cpu)");
  CHECK(empty({0, 2}).to_string() == "tensor([], f32 (0, 2), cpu)");
  CHECK(empty({2000}).to_string() == "tensor(..., f32 (2000,), cpu)");
}

TEST_CASE("the library knows its version") {
  CHECK(std::string(version()).find('.') != std::string::npos);
}
