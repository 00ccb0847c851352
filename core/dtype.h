/// Element types, promotion, and dispatch from a run-time type to a template.
#pragma once

#include <tenet/core/detail/formatter.h>
#include <tenet/core/error.h>
#include <tenet/core/half.h>

#include <cstdint>
#include <type_traits>

namespace tenet {

/// The type of a tensor's elements. `fixed32` is an int32 that counts units of 2^-f; f belongs to
/// the tensor.
enum class DType : uint8_t { boolean, u8, i32, i64, f16, bf16, f32, f64, fixed32 };

/// What promotion goes by, from low to high; `fixed` is promoted to nothing and by nothing.
enum class DTypeCategory : uint8_t { boolean, integer, floating, fixed };

/// The enumerator's name: "f32".
const char* to_string(DType dtype);
/// Bytes of one element.
int64_t itemsize(DType dtype);
/// Where a type stands in promotion, and whether it is one of the four floating ones.
DTypeCategory category(DType dtype);
inline bool is_floating(DType dtype) { return category(dtype) == DTypeCategory::floating; }
/// Whether tensors of this type can have a gradient: floating ones and fixed32.
inline bool is_differentiable(DType dtype) { return category(dtype) >= DTypeCategory::floating; }

/// The result type of two operands: the higher category wins; within one the wider; f16 with bf16
/// gives f32. Error for fixed32, which only the residual stream's own ops accept.
DType promote(DType a, DType b, const char* op);

/// The type of the gradient of a tensor of this type: f32 for fixed32, the type itself for floats.
inline DType grad_dtype(DType dtype) { return dtype == DType::fixed32 ? DType::f32 : dtype; }

/// The type in which sums over `dtype` are kept: f32 for half types, i64 for integers and boolean.
DType accumulate_dtype(DType dtype);

/// A C++ number given to an op. It changes a tensor's type only to a higher category.
class Scalar {
 public:
  /// From bool, an integer type or a floating one, each of which gives a category of its own.
  template <class T>
  requires std::is_arithmetic_v<T> Scalar(
      T value)  // NOLINT(google-explicit-constructor): numbers convert silently by design
      : category_(std::is_same_v<T, bool> ? DTypeCategory::boolean
                  : std::is_integral_v<T> ? DTypeCategory::integer
                                          : DTypeCategory::floating),
        value_(static_cast<double>(value)),
        integer_(static_cast<int64_t>(value)) {}

  /// That of the C++ type: boolean, integer or floating.
  DTypeCategory category() const { return category_; }
  /// The value as f64, and as i64, cut towards zero.
  double as_double() const { return value_; }
  int64_t as_int64() const { return integer_; }
  /// The value as T; a bool says whether it is not zero.
  template <class T>
  T as() const {
    if constexpr (std::is_same_v<T, bool>) return value_ != 0;
    return std::is_integral_v<T> ? static_cast<T>(integer_) : static_cast<T>(value_);
  }

 private:
  DTypeCategory category_;
  double value_;
  int64_t integer_;
};

/// The number of an integer type that is nearest to an integer `number`; with other types or
/// numbers, `number` itself.
Scalar saturated(const Scalar& number, DType dtype);

/// The type of `dtype op scalar`.
DType promote(DType dtype, const Scalar& scalar, const char* op);

/// The type of the elements that C++ sees as T; a compile-time error if no tensor holds them.
template <class T>
inline constexpr DType dtype_of = [] {
  if constexpr (std::is_same_v<T, bool>)
    return DType::boolean;
  else if constexpr (std::is_same_v<T, uint8_t>)
    return DType::u8;
  else if constexpr (std::is_same_v<T, int32_t>)
    return DType::i32;
  else if constexpr (std::is_same_v<T, int64_t> || std::is_same_v<T, long long>)
    return DType::i64;
  else if constexpr (std::is_same_v<T, f16>)
    return DType::f16;
  else if constexpr (std::is_same_v<T, bf16>)
    return DType::bf16;
  else if constexpr (std::is_same_v<T, float>)
    return DType::f32;
  else {
    static_assert(std::is_same_v<T, double>, "no tensor holds this type");
    return DType::f64;
  }
}();

/// C++ types, for dispatch().
template <class... T>
struct TypeList {};

/// The lists that ops support: floats, integers without boolean, both, and these with boolean.
using FloatTypes = TypeList<float, double, bf16, f16>;
using IntegerTypes = TypeList<uint8_t, int32_t, int64_t>;
using NumberTypes = TypeList<float, double, bf16, f16, uint8_t, int32_t, int64_t>;
using AllTypes = TypeList<float, double, bf16, f16, uint8_t, int32_t, int64_t, bool>;

/// Calls `fn.operator()<T>()` with the C++ type of `dtype`. Error `op: dtype bf16 is not supported`
/// if the list lacks it.
template <class... T, class F>
void dispatch(TypeList<T...>, DType dtype, const char* op, F&& fn) {
  const bool found = ((dtype_of<T> == dtype && (fn.template operator()<T>(), true)) || ...);
  check(found, "{}: dtype {} is not supported", op, to_string(dtype));
}

/// The C++ type in which arithmetic on T is done: float for the half types, T otherwise.
template <class T>
using Compute = std::conditional_t<std::is_same_v<T, f16> || std::is_same_v<T, bf16>, float, T>;

}  // namespace tenet

template <>
struct fmt::formatter<tenet::DType> : tenet::detail::TextFormatter {
  auto format(tenet::DType dtype, format_context& out) const {
    return write(tenet::to_string(dtype), out);
  }
};
