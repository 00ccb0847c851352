/// One tensor in, one of the same shape out, element by element.
///
/// Functions of real numbers take integers and boolean as f32; half types are computed in f32.
/// fixed32 is an Error: `exp: fixed-point stream; decode() it first`. All are differentiable any
/// number of times.
#pragma once

#include <tenet/core/kernel.h>
#include <tenet/core/view.h>
#include <tenet/ops/functors.h>

namespace tenet {

/// -x. Integers wrap around.
Tensor neg(const Tensor& x);
/// |x|; dx = dy sign(x).
Tensor abs(const Tensor& x);
/// -1, 0 or 1; NaN stays. Its gradient is zero.
Tensor sign(const Tensor& x);
/// e^x.
Tensor exp(const Tensor& x);
/// The natural logarithm; -inf at 0, NaN below.
Tensor log(const Tensor& x);
/// The square root; NaN below 0.
Tensor sqrt(const Tensor& x);
/// 1 / sqrt(x).
Tensor rsqrt(const Tensor& x);
/// x^2. Integers wrap around.
Tensor square(const Tensor& x);
/// 1 / x.
Tensor reciprocal(const Tensor& x);
/// Of angles in radians.
Tensor sin(const Tensor& x);
Tensor cos(const Tensor& x);
/// (exp(x) - exp(-x)) / (exp(x) + exp(-x)), without overflow.
Tensor tanh(const Tensor& x);
/// 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x.
Tensor erf(const Tensor& x);
/// 1 / (1 + exp(-x)).
Tensor sigmoid(const Tensor& x);
/// max(x, 0); NaN stays; the gradient at 0 is 0.
Tensor relu(const Tensor& x);
/// x Phi(x), Phi the normal distribution function by erf. Hendrycks & Gimpel (2016).
Tensor gelu(const Tensor& x);
/// x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2, the approximation of the same paper.
Tensor gelu_tanh(const Tensor& x);
/// x sigmoid(x).
Tensor silu(const Tensor& x);
/// log(1 + exp(x)), without overflow.
Tensor softplus(const Tensor& x);
/// Rounding down, up, and to the nearest integer, ties to even. Their gradient is zero; integers
/// stay as they are.
Tensor floor(const Tensor& x);
Tensor ceil(const Tensor& x);
Tensor round(const Tensor& x);
/// x limited to [low, high]; NaN stays; the gradient is 0 outside. Error if low > high.
Tensor clamp(const Tensor& x, Scalar low, Scalar high);

/// Boolean results. Integers are always finite; any type has a truth value, nonzero is true.
Tensor isfinite(const Tensor& x);
Tensor isnan(const Tensor& x);
Tensor logical_not(const Tensor& x);

namespace detail {

/// y[i] = f.y(x[i]); y has x's type, or boolean if F::predicate. y may be x.
template <class F>
inline Kernel<void(View y, View x, F f)> unary_kernel{F::name};

/// dx[i] = f.dx(saved[i], dy[i]), where saved is x or y as F::saves says; all of one floating type.
template <class F>
inline Kernel<void(View dx, View saved, View dy, F f)> unary_backward_kernel{F::name};

/// The functors whose slots elementwise.cpp and elementwise.cu fill; those with saves != nothing
/// have a backward.
using UnaryFunctors =
    TypeList<functor::Neg, functor::Abs, functor::Sign, functor::Exp, functor::Log, functor::Sqrt,
             functor::Rsqrt, functor::Square, functor::Reciprocal, functor::Sin, functor::Cos,
             functor::Tanh, functor::Erf, functor::Sigmoid, functor::Relu, functor::Gelu,
             functor::GeluTanh, functor::Silu, functor::Softplus, functor::Floor, functor::Ceil,
             functor::Round, functor::Clamp, functor::IsFinite, functor::IsNan,
             functor::LogicalNot>;

}  // namespace detail
}  // namespace tenet
