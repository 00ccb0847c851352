/// What the tests of attention in bf16 share.
#pragma once

#include <doctest/doctest.h>
#include <tenet/core/half.h>
#include <tenet/ops/detail/amx.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <random>

#include "reference.h"

namespace attention_reference {

/// Whether this build has no kernels for bf16; says so.
inline bool skips_bf16() {
  if (!tenet::detail::multiplies_bf16) MESSAGE("skipped: bf16 is widened in this build");
  return !tenet::detail::multiplies_bf16;
}

/// Bounds of errors relative to an array's largest element; of gradients, given the same y, which
/// backward passes get rounded to bf16.
inline constexpr double kForwardBound = 0x1p-16, kGradientBound = 0x1p-7;

/// Of y, and of the gradients, relative to the largest element.
struct Errors {
  double y = 0, gradient = 0;
  void take(const Errors& other) {
    y = std::max(y, other.y), gradient = std::max(gradient, other.gradient);
  }
};

/// The largest difference beyond the rounding of `got` to bf16, over the reference's largest value
/// or `least`.
inline double relative(const Array<tenet::bf16>& got, const Array<double>& want, double least) {
  double largest = std::max(least, 1e-30), off = 0;
  for (const double value : want.values) largest = std::max(largest, std::abs(value));
  for (int64_t row = 0; row < got.B * got.H * got.L; ++row) {
    const int64_t b = row / (got.H * got.L), h = row / got.L % got.H, i = row % got.L;
    for (int64_t n = 0; n < got.size; ++n) {
      const double value = double(got.at(b, h, i)[n]);
      const double half_ulp = value == 0 ? 0 : std::ldexp(1, std::ilogb(value) - 8);
      const double beyond = std::abs(value - want.at(b, h, i)[n]) - half_ulp;
      off = std::isnan(beyond) ? std::numeric_limits<double>::infinity() : std::max(off, beyond);
    }
  }
  return off / largest;
}

/// Whether `size` numbers are the same to the bit.
template <class T>
bool same_numbers(const T* a, const T* b, int64_t size) {
  return std::memcmp(a, b, static_cast<size_t>(size) * sizeof(T)) == 0;
}
template <class T>
bool same_array(const Array<T>& a, const Array<T>& b) {
  return same_numbers(a.values.data(), b.values.data(), std::ssize(a.values));
}

/// Logs of sums, which may be infinite, against the definition's.
template <class Sums, class Wanted>
void check_log_sums(const Sums& got, const Wanted& want) {
  for (size_t i = 0; i < got.size(); ++i) {
    const double a = got[i], c = want[i];
    CHECK((a == c || std::abs(a - c) <= 1e-5 * std::max(1.0, std::abs(c))));
  }
}

/// Integers in [low, high] by a seed.
class Dice {
 public:
  explicit Dice(unsigned seed) : random_(seed) {}
  int64_t operator()(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(random_() % static_cast<uint32_t>(high - low + 1));
  }

 private:
  std::mt19937 random_;
};

/// Widths of heads around those of a tile, and some other.
inline int64_t odd_width(unsigned seed, Dice& roll) {
  const int64_t sizes[] = {1, 2, 31, 32, 33, 63, 64, 65, roll(1, 100), 100};
  return sizes[seed % 10];
}

/// Checks errors_of(random_run(seed, longest)) for 120 seeds.
template <class RandomRun, class ErrorsOf>
void check_definition(RandomRun&& random_run, ErrorsOf&& errors_of) {
  Errors worst;
  for (unsigned seed = 1; seed <= 120; ++seed) {
    CAPTURE(seed);
    auto run = random_run(seed, seed % 3 == 0 ? 200 : 40);
    const Errors errors = errors_of(run);
    CHECK(errors.y <= kForwardBound);
    CHECK(errors.gradient <= kGradientBound);
    worst.take(errors);
  }
  MESSAGE("off by " << worst.y << ", gradient by " << worst.gradient);
}

}  // namespace attention_reference
