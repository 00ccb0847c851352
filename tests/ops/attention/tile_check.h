/// What the tests of attention by tile registers share.
#pragma once

#include <doctest/doctest.h>
#include <tenet/ops/detail/amx.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <initializer_list>

#include "reference.h"

namespace attention_reference {

/// Whether bf16 kernels run here; says so if not.
inline bool tiles_run() {
  if (tenet::detail::amx::available()) return true;
  MESSAGE("skipped: no tile registers");
  return false;
}

/// Bounds of errors relative to an array's largest element; of gradients, given the same y, which
/// backward passes get rounded to bf16.
inline constexpr double kTileForward = 0x1p-16, kTileGradient = 0x1p-7;

/// Of y, and of the gradients, relative to the largest element.
struct TileErrors {
  double y = 0, gradient = 0;
  void take(const TileErrors& other) {
    y = std::max(y, other.y), gradient = std::max(gradient, other.gradient);
  }
};

/// The largest difference, over the reference's largest value or `least`.
template <class T>
double relative(const Array<T>& got, const Array<double>& want, double least) {
  double size = 1, largest = std::max(least, 1e-30);
  for (const double value : want.values) {
    size = std::max(size, std::abs(value));
    largest = std::max(largest, std::abs(value));
  }
  return difference(got, want) * size / largest;
}

/// Whether `size` numbers are the same to the bit.
template <class T>
bool same_numbers(const T* a, const T* b, int64_t size) {
  return std::memcmp(a, b, static_cast<size_t>(size) * sizeof(T)) == 0;
}

}  // namespace attention_reference
