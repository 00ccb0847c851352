#pragma once

#include <tenet/core/view.h>

#include <cmath>
#include <cstring>

namespace tenet::test {

/// Whether two contiguous tensors of one type and shape hold the same bytes.
inline bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         std::memcmp(view(a).data, view(b).data,
                     static_cast<size_t>(a.numel() * itemsize(a.dtype()))) == 0;
}

/// Whether two contiguous tensors of f64 agree but for the rounding of sums: one compiler fuses a
/// product and a sum where another does not.
inline bool same_f64(const Tensor& a, const Tensor& b) {
  bool same = a.shape() == b.shape();
  for (int64_t i = 0; same && i < a.numel(); ++i) {
    const double x = view(a).as<const double>()[i], y = view(b).as<const double>()[i];
    same = std::abs(x - y) <= 1e-12 * (1 + std::abs(y));
  }
  return same;
}

}  // namespace tenet::test
