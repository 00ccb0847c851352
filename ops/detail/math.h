/// Scalar functions in f32 and f64 for the CPU and CUDA.
///
/// The f32 ones have no branch and no call, so a loop over them becomes vector code, and each
/// operation that may be fused is written as fused(), so vector body and scalar remainder give the
/// same bits. Stated errors are the largest that tests/ops/detail/math_test.cpp finds over an even
/// sample of all floats, given hardware fma. The f64 ones are the C library's.
#pragma once

#include <tenet/core/macros.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace tenet::math {

/// What most of the f32 functions take: a float, or several as one (ops/detail/pack.h).
template <class F>
concept Single = std::is_same_v<F, float> || requires {
  requires F::is_pack;
};

/// `where` ? a : b, of numbers or packs.
template <class T>
TENET_HD T select(bool where, T a, T b) {
  return where ? a : b;
}

/// a * b + c, rounded once where the machine can.
TENET_HD inline float fused(float a, float b, float c) {
#if defined(__CUDA_ARCH__) || defined(__FMA__)
  return fmaf(a, b, c);
#else
  return a * b + c;
#endif
}

TENET_HD inline float bits_float(int32_t bits) { return std::bit_cast<float>(bits); }
TENET_HD inline int32_t float_bits(float x) { return std::bit_cast<int32_t>(x); }
/// a - b modulo 2^32, for bits of any number, NaN too.
TENET_HD inline int32_t bits_less(int32_t a, int32_t b) {
  return static_cast<int32_t>(static_cast<uint32_t>(a) - static_cast<uint32_t>(b));
}

/// 2^n for -126 <= n <= 127.
TENET_HD inline float power_of_two(int32_t n) { return bits_float((n + 127) << 23); }

/// Added to a small number, leaves it rounded to an integer in the lowest bits.
inline constexpr float shift_to_integer = 0x1.8p23f;

/// p * 2^n of n = shifted - shift_to_integer, -150 <= n <= 128.
TENET_HD inline float times_power(float p, float shifted) {
  const int32_t power = bits_less(float_bits(shifted), float_bits(shift_to_integer));
  const int32_t half = power >> 1;  // in two steps, since 2^power may not be a float
  return p * power_of_two(half) * power_of_two(power - half);
}

/// |x|; |x| with the sign of `sign`.
TENET_HD inline float magnitude(float x) { return fabsf(x); }
TENET_HD inline float with_sign(float x, float sign) { return copysignf(x, sign); }

/// e^x within 1 ulp; subnormal results too, infinity above 88.73. NaN stays NaN.
/// x = n ln 2 + r, |r| <= ln 2 / 2, ln 2 in two parts, e^r by Cephes' polynomial.
template <Single F>
TENET_HD F exp(F x) {
  const F below = select(x < F(-104.0f), F(-104.0f), x);
  const F y = select(below > F(89.0f), F(89.0f), below);
  const F shifted = fused(y, F(1.44269504088896341f), F(shift_to_integer));
  const F n = shifted - F(shift_to_integer);
  const F r = fused(n, F(2.12194440e-4f), fused(n, F(-0.693359375f), y));
  F p = 1.9875691500e-4f;
  p = fused(p, r, F(1.3981999507e-3f));
  p = fused(p, r, F(8.3334519073e-3f));
  p = fused(p, r, F(4.1665795894e-2f));
  p = fused(p, r, F(1.6666665459e-1f));
  p = fused(p, r, F(5.0000001201e-1f));
  p = fused(p, r * r, r) + F(1.0f);
  return times_power(p, shifted);
}
TENET_HD inline double exp(double x) { return ::exp(x); }

/// log(m * 2^e) of a normal positive number given by its bits, plus e more powers of two.
TENET_HD inline float log_of_bits(int32_t bits, int32_t more) {
  const int32_t e = bits_less(bits, 0x3f3504f3) >> 23;  // so that sqrt(1/2) <= m < sqrt(2)
  const float f = bits_float(bits_less(bits, e << 23)) - 1.0f;
  const float n = static_cast<float>(e + more);
  float p = 7.0376836292e-2f;
  p = fused(p, f, -1.1514610310e-1f);
  p = fused(p, f, 1.1676998740e-1f);
  p = fused(p, f, -1.2420140846e-1f);
  p = fused(p, f, 1.4249322787e-1f);
  p = fused(p, f, -1.6668057665e-1f);
  p = fused(p, f, 2.0000714765e-1f);
  p = fused(p, f, -2.4999993993e-1f);
  p = fused(p, f, 3.3333331174e-1f);
  const float square = f * f;
  const float tail = fused(n, -2.12194440e-4f, p * f * square);
  return fused(n, 0.693359375f, fused(square, -0.5f, tail) + f);
}

/// The natural logarithm within 0.8 ulp (Cephes' polynomial); subnormals too. -inf at 0, NaN below.
TENET_HD inline float log(float x) {
  const bool small = x < 0x1p-126f;
  const float scaled = small ? x * 0x1p23f : x;
  float y = log_of_bits(float_bits(scaled), small ? -23 : 0);
  y = x < std::numeric_limits<float>::infinity() ? y : x;  // infinity and NaN
  y = x == 0.0f ? -std::numeric_limits<float>::infinity() : y;
  return x < 0.0f ? std::numeric_limits<float>::quiet_NaN() : y;
}
TENET_HD inline double log(double x) { return ::log(x); }

/// log(1 + u) for 0 <= u <= 1, within 1.2 ulp: the logarithm of the rounded sum, corrected for its
/// rounding.
TENET_HD inline float log1p_of_unit(float u) {
  const float sum = 1.0f + u;
  const float rest = u - (sum - 1.0f);
  return log_of_bits(float_bits(sum), 0) + rest / sum;
}
TENET_HD inline double log1p_of_unit(double u) { return ::log1p(u); }

/// Within 1.3 ulp: Cephes' odd polynomial up to 0.625, 1 - 2 / (e^2x + 1) above.
template <Single F>
TENET_HD F tanh(F x) {
  const F size = magnitude(x);
  const F s = x * x;
  F p = -5.70498872745e-3f;
  p = fused(p, s, F(2.06390887954e-2f));
  p = fused(p, s, F(-5.37397155531e-2f));
  p = fused(p, s, F(1.33314422036e-1f));
  p = fused(p, s, F(-3.33332819422e-1f));
  const F small = fused(p * s, size, size);
  const F large = F(1.0f) - F(2.0f) / (exp(size + size) + F(1.0f));
  return with_sign(select(size < F(0.625f), small, large), x);
}
TENET_HD inline double tanh(double x) { return ::tanh(x); }

/// Within 1.3 ulp (1.4 without fused multiply-adds): x + x P(x^2) up to 0.9375, 1 - e^(t P(t))
/// above, t = |x|; minimax fits of our own.
template <Single F>
TENET_HD F erf(F x) {
  const F t = magnitude(x);
  const F s = x * x;
  F p = -5.919788382e-4f;
  p = fused(p, s, F(4.979220219e-3f));
  p = fused(p, s, F(-2.675711550e-2f));
  p = fused(p, s, F(1.128155589e-1f));
  p = fused(p, s, F(-3.761246800e-1f));
  p = fused(p, s, F(1.283791512e-1f));
  const F small = fused(p, x, x);
  const F limited = select(t > F(4.0f), F(4.0f), t);
  F q = -1.152825280e-5f;
  q = fused(q, limited, F(3.257100470e-4f));
  q = fused(q, limited, F(-3.653987078e-3f));
  q = fused(q, limited, F(2.378579602e-2f));
  q = fused(q, limited, F(-1.062636375e-1f));
  q = fused(q, limited, F(-6.351356506e-1f));
  q = fused(q, limited, F(-1.286522299e-1f));
  q = fused(q, limited, -limited);
  const F large = with_sign(F(1.0f) - exp(q), x);
  return select(t < F(0.9375f), small, large);
}
TENET_HD inline double erf(double x) { return ::erf(x); }

/// 1 / (1 + e^-x), within 2.5 ulp; by e^-|x|, so that small results are exact too.
template <class T>
TENET_HD T sigmoid(T x) {
  const auto negative = x < T(0);
  const T e = exp(select(negative, x, -x));
  return select(negative, e, T(1)) / (T(1) + e);
}

/// log(1 + e^x) = max(x, 0) + log(1 + e^-|x|), within 1.8 ulp.
template <class T>
TENET_HD T softplus(T x) {
  const T positive = x < T(0) ? T(0) : x;
  const T size = x < T(0) ? x : -x;
  return positive + log1p_of_unit(exp(size));
}

TENET_HD inline float abs(float x) { return fabsf(x); }
TENET_HD inline double abs(double x) { return ::fabs(x); }
TENET_HD inline float sqrt(float x) { return sqrtf(x); }
TENET_HD inline double sqrt(double x) { return ::sqrt(x); }
TENET_HD inline float sin(float x) { return sinf(x); }
TENET_HD inline double sin(double x) { return ::sin(x); }
TENET_HD inline float cos(float x) { return cosf(x); }
TENET_HD inline double cos(double x) { return ::cos(x); }
TENET_HD inline float floor(float x) { return floorf(x); }
TENET_HD inline double floor(double x) { return ::floor(x); }
TENET_HD inline float ceil(float x) { return ceilf(x); }
TENET_HD inline double ceil(double x) { return ::ceil(x); }
TENET_HD inline float rint(float x) { return rintf(x); }
TENET_HD inline double rint(double x) { return ::rint(x); }
TENET_HD inline float pow(float a, float b) { return powf(a, b); }
TENET_HD inline double pow(double a, double b) { return ::pow(a, b); }

}  // namespace tenet::math
