/// Vectors of the widest size that this build's instruction set has, as GCC vector types. Half
/// types are computed with in f32: their vectors, lanes and panels are those of float.
#pragma once

#include <tenet/core/dtype.h>
#include <tenet/ops/detail/bf16_words.h>
#include <tenet/ops/detail/shuffle.h>

#include <cstdint>
#include <cstring>
#include <initializer_list>

#if defined(__FMA__) || defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace tenet::detail::tiles {

#if defined(__AVX512F__)
inline constexpr int kVectorBytes = 64;
#elif defined(__AVX__)
inline constexpr int kVectorBytes = 32;
#else
inline constexpr int kVectorBytes = 16;
#endif

template <class T>
struct VectorOf;
template <>
struct VectorOf<float> {
  using Lane = int32_t;
  typedef float Type __attribute__((vector_size(kVectorBytes)));
  typedef int32_t Index __attribute__((vector_size(kVectorBytes)));
};
template <>
struct VectorOf<double> {
  using Lane = int64_t;
  typedef double Type __attribute__((vector_size(kVectorBytes)));
  typedef int64_t Index __attribute__((vector_size(kVectorBytes)));
};

/// A vector of T; its comparison result and integers of the same width; one such integer; the
/// number of lanes.
template <class T>
using Vector = typename VectorOf<Compute<T>>::Type;
template <class T>
using IndexVector = typename VectorOf<Compute<T>>::Index;
template <class T>
using Lane = typename VectorOf<Compute<T>>::Lane;
template <class T>
inline constexpr int kLanes = kVectorBytes / static_cast<int>(sizeof(Compute<T>));

template <class T>
[[gnu::always_inline]] inline Vector<T> load(const T* from) {
  Vector<T> value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}
/// Widened.
[[gnu::always_inline]] inline Vector<float> load(const bf16* from) {
  typedef uint16_t Narrow __attribute__((vector_size(kVectorBytes / 2)));
  Narrow narrow;
  std::memcpy(&narrow, from, sizeof(narrow));
  const auto wide = __builtin_convertvector(narrow, IndexVector<float>) << 16;
  Vector<float> value;
  std::memcpy(&value, &wide, sizeof(value));
  return value;
}
template <class T>
[[gnu::always_inline]] inline IndexVector<T> load_index(const Lane<T>* from) {
  IndexVector<T> value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}
template <class T>
[[gnu::always_inline]] inline void store(T* to, Vector<T> value) {
  std::memcpy(to, &value, sizeof(value));
}
/// Rounded to nearest even.
[[gnu::always_inline]] inline void store(bf16* to, Vector<float> value) {
  typedef uint16_t Narrow __attribute__((vector_size(kVectorBytes / 2)));
  typedef uint32_t Word __attribute__((vector_size(kVectorBytes)));
  const Narrow narrow = __builtin_convertvector(bf16_words<Word>(value) >> 16, Narrow);
  std::memcpy(static_cast<void*>(to), &narrow, sizeof(narrow));
}
template <class T>
[[gnu::always_inline]] inline Vector<T> splat(T value) {
  return value - Vector<T>{};  // not +: that would turn -0 into 0
}
template <class T>
[[gnu::always_inline]] inline IndexVector<T> splat_index(int64_t value) {
  return static_cast<Lane<T>>(value) + IndexVector<T>{};
}

/// a * b + c, rounded once where the machine can.
[[gnu::always_inline]] inline Vector<float> fma(Vector<float> a, Vector<float> b, Vector<float> c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_ps(a, b, c);
#elif defined(__AVX__) && defined(__FMA__)
  return _mm256_fmadd_ps(a, b, c);
#else
  return a * b + c;
#endif
}
[[gnu::always_inline]] inline Vector<double> fma(Vector<double> a, Vector<double> b,
                                                 Vector<double> c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_pd(a, b, c);
#elif defined(__AVX__) && defined(__FMA__)
  return _mm256_fmadd_pd(a, b, c);
#else
  return a * b + c;
#endif
}

/// The larger of each pair; `b` where one of them is NaN.
template <class V>
[[gnu::always_inline]] inline V larger(V a, V b) {
  return a > b ? a : b;
}
template <class V>
[[gnu::always_inline]] inline V smaller(V a, V b) {
  return a < b ? a : b;
}

/// The lanes added up as a tree: a function of the lanes alone.
template <class T>
[[gnu::always_inline]] inline T sum_lanes(Vector<T> value) {
  IndexVector<T> lane;
  for (int i = 0; i < kLanes<T>; ++i) lane[i] = i;
  for (int half = kLanes<T> / 2; half > 0; half /= 2) {
    value += shuffle(value, value, lane ^ splat_index<T>(half));
  }
  return value[0];
}

/// e^x within 1.1 ulp for x <= 88; 0 below -87 (f32) and -708 (f64), so also at -inf. NaN stays
/// NaN.
///
/// x = n ln 2 + r, |r| <= ln 2 / 2; ln 2 in two parts; e^r by Cephes' polynomial (f32) and Taylor's
/// (f64).
[[gnu::always_inline]] inline Vector<float> exp(Vector<float> x) {
  using V = Vector<float>;
  const V lowest = splat(-87.0f), highest = splat(88.0f), magic = splat(0x1.8p23f);
  const V y = smaller(highest, larger(lowest, x));  // operand order keeps NaN
  const V shifted = fma(y, splat(1.44269504088896341f), magic);
  const V n = shifted - magic;
  const V r = fma(n, splat(2.12194440e-4f), fma(n, splat(-0.693359375f), y));
  V p = splat(1.9875691500e-4f);
  for (const float c :
       {1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f}) {
    p = fma(p, r, splat(c));
  }
  p = fma(p, r * r, r) + splat(1.0f);
  IndexVector<float> exponent;
  std::memcpy(&exponent, &shifted, sizeof(exponent));
  exponent = (exponent - splat_index<float>(0x4B400000 - 127)) << 23;
  V power;
  std::memcpy(&power, &exponent, sizeof(power));
  return x < lowest ? V{} : p * power;
}
[[gnu::always_inline]] inline Vector<double> exp(Vector<double> x) {
  using V = Vector<double>;
  const V lowest = splat(-708.0), highest = splat(709.0), magic = splat(0x1.8p52);
  const V y = smaller(highest, larger(lowest, x));
  const V shifted = fma(y, splat(1.4426950408889634074), magic);
  const V n = shifted - magic;
  const V r =
      fma(n, splat(-1.90821492927058770002e-10), fma(n, splat(-6.93147180369123816490e-1), y));
  V p = splat(1.0 / 6227020800.0);
  for (const double c : {1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320,
                         1.0 / 5040, 1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 0.5}) {
    p = fma(p, r, splat(c));
  }
  p = fma(p, r * r, r) + splat(1.0);
  IndexVector<double> exponent;
  std::memcpy(&exponent, &shifted, sizeof(exponent));
  exponent = (exponent - splat_index<double>(0x4338000000000000 - 1023)) << 52;
  V power;
  std::memcpy(&power, &exponent, sizeof(power));
  return x < lowest ? V{} : p * power;
}

}  // namespace tenet::detail::tiles
