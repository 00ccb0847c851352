#include <doctest/doctest.h>
#include <tenet/core/device.h>
#include <tenet/core/dtype.h>

#include <vector>

#include "core/small_ops.h"

using namespace tenet;
using tenet::test::error_of;

namespace {

constexpr DType numbers[] = {DType::boolean, DType::u8,   DType::i32, DType::i64,
                             DType::f16,     DType::bf16, DType::f32, DType::f64};

}  // namespace

TEST_CASE("types have a name, a size and a category") {
  CHECK(std::string(to_string(DType::bf16)) == "bf16");
  CHECK(fmt::format("{}", DType::fixed32) == "fixed32");
  CHECK(itemsize(DType::boolean) == 1);
  CHECK(itemsize(DType::f16) == 2);
  CHECK(itemsize(DType::fixed32) == 4);
  CHECK(itemsize(DType::i64) == 8);
  CHECK(category(DType::boolean) == DTypeCategory::boolean);
  CHECK(category(DType::u8) == DTypeCategory::integer);
  CHECK(category(DType::fixed32) == DTypeCategory::fixed);
  CHECK(is_floating(DType::bf16));
  CHECK_FALSE(is_floating(DType::fixed32));
}

TEST_CASE("promotion of two types") {
  // Rows and columns in the order of `numbers`.
  const DType b = DType::boolean, u = DType::u8, i = DType::i32, l = DType::i64, h = DType::f16,
              g = DType::bf16, f = DType::f32, d = DType::f64;
  const DType expected[8][8] = {{b, u, i, l, h, g, f, d}, {u, u, i, l, h, g, f, d},
                                {i, i, i, l, h, g, f, d}, {l, l, l, l, h, g, f, d},
                                {h, h, h, h, h, f, f, d}, {g, g, g, g, f, g, f, d},
                                {f, f, f, f, f, f, f, d}, {d, d, d, d, d, d, d, d}};
  for (int row = 0; row < 8; ++row) {
    for (int column = 0; column < 8; ++column) {
      CAPTURE(row);
      CAPTURE(column);
      CHECK(promote(numbers[row], numbers[column], "add") == expected[row][column]);
    }
  }
}

TEST_CASE("promotion with a C++ number") {
  const DType with_int[] = {DType::i64, DType::u8,   DType::i32, DType::i64,
                            DType::f16, DType::bf16, DType::f32, DType::f64};
  const DType with_double[] = {DType::f32, DType::f32,  DType::f32, DType::f32,
                               DType::f16, DType::bf16, DType::f32, DType::f64};
  for (int k = 0; k < 8; ++k) {
    CAPTURE(k);
    CHECK(promote(numbers[k], Scalar(true), "add") == numbers[k]);
    CHECK(promote(numbers[k], Scalar(3), "add") == with_int[k]);
    CHECK(promote(numbers[k], Scalar(0.5), "add") == with_double[k]);
  }
}

TEST_CASE("fixed32 promotes with nothing") {
  const std::string text = "add: fixed-point stream; decode() it first";
  CHECK(error_of([] { promote(DType::fixed32, DType::f32, "add"); }) == text);
  CHECK(error_of([] { promote(DType::f32, DType::fixed32, "add"); }) == text);
  CHECK(error_of([] { promote(DType::fixed32, Scalar(1), "add"); }) == text);
}

TEST_CASE("types of gradients and of sums") {
  CHECK(grad_dtype(DType::fixed32) == DType::f32);
  CHECK(grad_dtype(DType::bf16) == DType::bf16);
  CHECK(accumulate_dtype(DType::boolean) == DType::i64);
  CHECK(accumulate_dtype(DType::i32) == DType::i64);
  CHECK(accumulate_dtype(DType::bf16) == DType::f32);
  CHECK(accumulate_dtype(DType::f64) == DType::f64);
}

TEST_CASE("scalars keep integers exact") {
  const int64_t large = (int64_t{1} << 62) + 1;
  CHECK(Scalar(large).as<int64_t>() == large);
  CHECK(Scalar(2.75).as<int32_t>() == 2);
  CHECK(Scalar(2.75).as<float>() == 2.75f);
  CHECK(Scalar(true).as<double>() == 1.0);
  CHECK(Scalar(0.5).as<bool>());
  CHECK_FALSE(Scalar(0).as<bool>());
}

TEST_CASE("dispatch finds the C++ type or names the type it does not know") {
  int size = 0;
  dispatch(AllTypes(), DType::f64, "exp", [&]<class T>() { size = sizeof(T); });
  CHECK(size == 8);
  CHECK(error_of([] { dispatch(FloatTypes(), DType::i32, "exp", []<class T>() {}); }) ==
        "exp: dtype i32 is not supported");
}

TEST_CASE("devices print") {
  CHECK(to_string(Device::cpu()) == "cpu");
  CHECK(fmt::format("{}", Device::cuda(1)) == "cuda:1");
  CHECK(Device::cpu() != Device::cuda());
}

TEST_CASE("devices are read as they are printed") {
  CHECK(parse_device("cpu") == Device::cpu());
  CHECK(parse_device("cuda") == Device::cuda(0));
  CHECK(parse_device("cuda:12") == Device::cuda(12));
  for (const char* text : {"", "gpu", "CPU", "cuda:", "cuda:-1", "cuda:1x", "cuda:99999999999"}) {
    CHECK(error_of([&] { parse_device(text); }) ==
          fmt::format("device: \"{}\" is none of cpu, cuda and cuda:N", text));
  }
  CHECK(device_count(Device::Kind::cpu) == 1);
  CHECK(device_count(Device::Kind::cuda) >= 0);
  synchronize(Device::cpu());
}
