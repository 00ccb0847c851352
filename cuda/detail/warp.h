/// Sums and maxima over the lanes of a warp, alike in all of them, in a fixed order.
#pragma once

#include <tenet/cuda/detail/machine.h>

#include <cmath>
#include <limits>

namespace tenet::cuda {

/// The largest of no numbers.
template <class S>
inline constexpr S nothing = -std::numeric_limits<S>::infinity();

/// The sum over a warp.
template <class M, class S>
TENET_GPU S warp_sum(S value) {
  for (int half = 16; half > 0; half /= 2) value += M::shuffle_xor(value, half);
  return value;
}
/// The largest number of a warp; NaN is less than all.
template <class M, class S>
TENET_GPU S warp_top(S value) {
  value = value > nothing<S> ? value : nothing<S>;
  for (int half = 16; half > 0; half /= 2) {
    const S other = M::shuffle_xor(value, half);
    value = other > value ? other : value;
  }
  return value;
}

/// The sum, or the largest, over the four lanes that share a row of a tensor core's tile.
template <class M>
TENET_GPU float row_sum(float x) {
  x += M::shuffle_xor(x, 1);
  return x + M::shuffle_xor(x, 2);
}
template <class M>
TENET_GPU float row_top(float x) {
  x = fmaxf(x, M::shuffle_xor(x, 1));
  return fmaxf(x, M::shuffle_xor(x, 2));
}

}  // namespace tenet::cuda
