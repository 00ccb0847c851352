#include <tenet/core/device.h>
#include <tenet/core/dtype.h>

#include <algorithm>
#include <limits>

#include <array>

namespace tenet {
namespace {

struct Traits {
  const char* name;
  int64_t size;
  DTypeCategory category;
};

constexpr std::array<Traits, 9> traits{{{"boolean", 1, DTypeCategory::boolean},
                                        {"u8", 1, DTypeCategory::integer},
                                        {"i32", 4, DTypeCategory::integer},
                                        {"i64", 8, DTypeCategory::integer},
                                        {"f16", 2, DTypeCategory::floating},
                                        {"bf16", 2, DTypeCategory::floating},
                                        {"f32", 4, DTypeCategory::floating},
                                        {"f64", 8, DTypeCategory::floating},
                                        {"fixed32", 4, DTypeCategory::fixed}}};

const Traits& of(DType dtype) { return traits[static_cast<size_t>(dtype)]; }

void refuse_fixed(DType dtype, const char* op) {
  check(dtype != DType::fixed32, "{}: fixed-point stream; decode() it first", op);
}

}  // namespace

const char* to_string(DType dtype) { return of(dtype).name; }
int64_t itemsize(DType dtype) { return of(dtype).size; }
DTypeCategory category(DType dtype) { return of(dtype).category; }

DType promote(DType a, DType b, const char* op) {
  refuse_fixed(a, op);
  refuse_fixed(b, op);
  if (category(a) != category(b)) return category(a) > category(b) ? a : b;
  const bool two_halves = itemsize(a) == 2 && itemsize(b) == 2 && a != b;
  if (two_halves) return DType::f32;
  return a > b ? a : b;
}

Scalar saturated(const Scalar& number, DType dtype) {
  if (number.category() != DTypeCategory::integer) return number;
  const auto within = [&]<class T>(T) {
    using Limits = std::numeric_limits<T>;
    return Scalar(std::clamp<int64_t>(number.as_int64(), Limits::min(), Limits::max()));
  };
  if (dtype == DType::u8) return within(uint8_t{});
  if (dtype == DType::i32) return within(int32_t{});
  return number;
}

DType promote(DType dtype, const Scalar& scalar, const char* op) {
  refuse_fixed(dtype, op);
  if (category(dtype) >= scalar.category()) return dtype;
  return scalar.category() == DTypeCategory::floating ? DType::f32 : DType::i64;
}

DType accumulate_dtype(DType dtype) {
  switch (category(dtype)) {
    case DTypeCategory::boolean:
    case DTypeCategory::integer:
      return DType::i64;
    case DTypeCategory::fixed:
      return dtype;
    case DTypeCategory::floating:
      break;
  }
  return dtype == DType::f64 ? DType::f64 : DType::f32;
}

}  // namespace tenet
