/// As many floats as a vector register holds, as one number: what the f32 functions of math.h and
/// the functors that say so take instead of a float. Compiled for a pack they are half as long as
/// what the compiler makes of a loop, which sends their comparisons through masks one by one.
#pragma once

#include <tenet/ops/attention/detail/vector.h>
#include <tenet/ops/detail/math.h>

#include <cstring>

namespace tenet::detail {

class Pack {
 public:
  using Vector = tiles::Vector<float>;
  using Mask = tiles::IndexVector<float>;
  static constexpr bool is_pack = true;
  static constexpr int64_t size = tiles::kLanes<float>;

  Pack(float x) : v_(tiles::splat(x)) {}  // NOLINT(google-explicit-constructor): as a float would
  Pack(Vector v) : v_(v) {}               // NOLINT(google-explicit-constructor)

  static Pack load(const float* from) { return tiles::load(from); }
  /// The first n < size; the others are 0.
  static Pack load(const float* from, int64_t n) {
    float all[size] = {};
    std::memcpy(all, from, static_cast<size_t>(n) * sizeof(float));
    return load(all);
  }
  void store(float* to) const { tiles::store(to, v_); }
  void store(float* to, int64_t n) const {
    float all[size];
    store(all);
    std::memcpy(to, all, static_cast<size_t>(n) * sizeof(float));
  }
  Vector vector() const { return v_; }
  Mask bits() const { return std::bit_cast<Mask>(v_); }

  friend Pack operator-(Pack a) { return -a.v_; }
  friend Pack operator+(Pack a, Pack b) { return a.v_ + b.v_; }
  friend Pack operator-(Pack a, Pack b) { return a.v_ - b.v_; }
  friend Pack operator*(Pack a, Pack b) { return a.v_ * b.v_; }
  friend Pack operator/(Pack a, Pack b) { return a.v_ / b.v_; }
  friend Mask operator<(Pack a, Pack b) { return a.v_ < b.v_; }
  friend Mask operator>(Pack a, Pack b) { return a.v_ > b.v_; }

 private:
  Vector v_;
};

inline Pack fused(Pack a, Pack b, Pack c) { return tiles::fma(a.vector(), b.vector(), c.vector()); }
inline Pack select(Pack::Mask where, Pack a, Pack b) { return where ? a.vector() : b.vector(); }
inline Pack magnitude(Pack x) { return std::bit_cast<Pack::Vector>(x.bits() & 0x7fffffff); }
inline Pack with_sign(Pack x, Pack sign) {
  const int32_t top = std::numeric_limits<int32_t>::min();
  return std::bit_cast<Pack::Vector>((x.bits() & 0x7fffffff) | (sign.bits() & top));
}
inline Pack times_power(Pack p, Pack shifted) {
#if defined(__AVX512F__)
  const Pack n = shifted - math::shift_to_integer;  // masked: GCC 12 warns of the plain one
  return _mm512_maskz_scalef_ps(0xffff, p.vector(), n.vector());
#else
  const Pack::Mask power = shifted.bits() - std::bit_cast<int32_t>(math::shift_to_integer);
  const Pack::Mask half = power >> 1;
  const auto two_to = [](Pack::Mask n) { return std::bit_cast<Pack::Vector>((n + 127) << 23); };
  return p * two_to(half) * two_to(power - half);
#endif
}

/// x[i] = e^x[i], i < n.
inline void exp_in_place(int64_t n, float* x) {
  int64_t i = 0;
  for (; i + Pack::size <= n; i += Pack::size) math::exp(Pack::load(x + i)).store(x + i);
  if (i < n) math::exp(Pack::load(x + i, n - i)).store(x + i, n - i);
}
inline void exp_in_place(int64_t n, double* x) {
  for (int64_t i = 0; i < n; ++i) x[i] = math::exp(x[i]);
}

}  // namespace tenet::detail
