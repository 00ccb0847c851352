/// Two tensors, or a tensor and a number, with NumPy's broadcasting and promotion.
///
/// A number changes a tensor's type only to a higher category: i64 * 0.5 is f32, bf16 * 0.5 is bf16
/// (computed in f32). Errors: shapes that do not broadcast, tensors on different devices, fixed32.
/// All are differentiable any number of times; comparisons have no gradient.
#pragma once

#include <tenet/ops/elementwise.h>

namespace tenet {

/// The sum, the difference and the product. Integers wrap around. Of two boolean tensors the sum is
/// `or`, the product `and`; there is no difference.
Tensor add(const Tensor& a, const Tensor& b);
Tensor add(const Tensor& a, Scalar b);
Tensor add(Scalar a, const Tensor& b);
Tensor sub(const Tensor& a, const Tensor& b);
Tensor sub(const Tensor& a, Scalar b);
Tensor sub(Scalar a, const Tensor& b);
Tensor mul(const Tensor& a, const Tensor& b);
Tensor mul(const Tensor& a, Scalar b);
Tensor mul(Scalar a, const Tensor& b);
/// a / b. Integers and boolean are divided in f32.
Tensor div(const Tensor& a, const Tensor& b);
Tensor div(const Tensor& a, Scalar b);
Tensor div(Scalar a, const Tensor& b);
/// a^b. An integer to a negative power is 0, 1 or -1 by element and an Error for a negative number
/// b.
Tensor pow(const Tensor& a, const Tensor& b);
Tensor pow(const Tensor& a, Scalar b);
Tensor pow(Scalar a, const Tensor& b);
/// The larger and the smaller; NaN if either is. Equal operands get half the gradient each.
Tensor maximum(const Tensor& a, const Tensor& b);
Tensor maximum(const Tensor& a, Scalar b);
Tensor minimum(const Tensor& a, const Tensor& b);
Tensor minimum(const Tensor& a, Scalar b);

/// Comparisons by element give boolean. == and != of tensors are not overloaded: they would not be
/// a bool.
Tensor equal(const Tensor& a, const Tensor& b);
Tensor equal(const Tensor& a, Scalar b);
Tensor not_equal(const Tensor& a, const Tensor& b);
Tensor not_equal(const Tensor& a, Scalar b);
Tensor less(const Tensor& a, const Tensor& b);
Tensor less(const Tensor& a, Scalar b);
Tensor less_equal(const Tensor& a, const Tensor& b);
Tensor less_equal(const Tensor& a, Scalar b);
Tensor greater(const Tensor& a, const Tensor& b);
Tensor greater(const Tensor& a, Scalar b);
Tensor greater_equal(const Tensor& a, const Tensor& b);
Tensor greater_equal(const Tensor& a, Scalar b);

/// Of truth values (nonzero is true), broadcast; boolean.
Tensor logical_and(const Tensor& a, const Tensor& b);
Tensor logical_or(const Tensor& a, const Tensor& b);

/// a where `condition` is true, b elsewhere; all three broadcast. Error unless the condition is
/// boolean.
Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b);
Tensor where(const Tensor& condition, const Tensor& a, Scalar b);
Tensor where(const Tensor& condition, Scalar a, const Tensor& b);

/// The functions above as operators: neg(), add(), sub(), mul(), div(), less(), less_equal(),
/// greater() and greater_equal().
inline Tensor operator-(const Tensor& x) { return neg(x); }
inline Tensor operator+(const Tensor& a, const Tensor& b) { return add(a, b); }
inline Tensor operator+(const Tensor& a, Scalar b) { return add(a, b); }
inline Tensor operator+(Scalar a, const Tensor& b) { return add(a, b); }
inline Tensor operator-(const Tensor& a, const Tensor& b) { return sub(a, b); }
inline Tensor operator-(const Tensor& a, Scalar b) { return sub(a, b); }
inline Tensor operator-(Scalar a, const Tensor& b) { return sub(a, b); }
inline Tensor operator*(const Tensor& a, const Tensor& b) { return mul(a, b); }
inline Tensor operator*(const Tensor& a, Scalar b) { return mul(a, b); }
inline Tensor operator*(Scalar a, const Tensor& b) { return mul(a, b); }
inline Tensor operator/(const Tensor& a, const Tensor& b) { return div(a, b); }
inline Tensor operator/(const Tensor& a, Scalar b) { return div(a, b); }
inline Tensor operator/(Scalar a, const Tensor& b) { return div(a, b); }
inline Tensor operator<(const Tensor& a, const Tensor& b) { return less(a, b); }
inline Tensor operator<(const Tensor& a, Scalar b) { return less(a, b); }
inline Tensor operator<=(const Tensor& a, const Tensor& b) { return less_equal(a, b); }
inline Tensor operator<=(const Tensor& a, Scalar b) { return less_equal(a, b); }
inline Tensor operator>(const Tensor& a, const Tensor& b) { return greater(a, b); }
inline Tensor operator>(const Tensor& a, Scalar b) { return greater(a, b); }
inline Tensor operator>=(const Tensor& a, const Tensor& b) { return greater_equal(a, b); }
inline Tensor operator>=(const Tensor& a, Scalar b) { return greater_equal(a, b); }

namespace detail {

/// y[i] = f.y(a[i], b[i]); a and b have one type and y's shape, with stride 0 where they are
/// broadcast; y has their type, or boolean if F::predicate.
template <class F>
inline Kernel<void(View y, View a, View b)> binary_kernel{F::name};

/// da[i] = f.da(a[i], b[i], dy[i]), or db if `second`; all of one floating type and of dy's shape.
template <class F>
inline Kernel<void(View dx, View a, View b, View dy, bool second)> binary_backward_kernel{F::name};

/// y[i] = condition[i] ? a[i] : b[i]; all of y's shape.
extern Kernel<void(View y, View condition, View a, View b)> where_kernel;

/// The functors whose binary slots arithmetic.cpp and arithmetic.cu fill.
using BinaryFunctors =
    TypeList<functor::Add, functor::Sub, functor::Mul, functor::Div, functor::Pow, functor::Maximum,
             functor::Minimum, functor::Equal, functor::NotEqual, functor::Less, functor::LessEqual,
             functor::Greater, functor::GreaterEqual, functor::LogicalAnd, functor::LogicalOr>;
/// Those of them that have a backward kernel.
using BinaryBackwardFunctors =
    TypeList<functor::Div, functor::Pow, functor::Maximum, functor::Minimum>;
/// A functor with a number for one operand is a unary functor: these have slots in unary_kernel
/// and unary_backward_kernel.
using ScalarFunctors =
    TypeList<functor::Right<functor::Add>, functor::Right<functor::Sub>,
             functor::Left<functor::Sub>, functor::Right<functor::Mul>,
             functor::Right<functor::Div>, functor::Left<functor::Div>,
             functor::Right<functor::Pow>, functor::Left<functor::Pow>,
             functor::Right<functor::Maximum>, functor::Right<functor::Minimum>,
             functor::Right<functor::Equal>, functor::Right<functor::NotEqual>,
             functor::Right<functor::Less>, functor::Right<functor::LessEqual>,
             functor::Right<functor::Greater>, functor::Right<functor::GreaterEqual>>;

}  // namespace detail
}  // namespace tenet
