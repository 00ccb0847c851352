/// Permutation of vector lanes, in the words of both compilers.
#pragma once

namespace tenet::detail {

/// Lane i of the result is lane order[i] of `a` followed by `b`; the order is known to the compiler
/// once loops around it are unrolled.
template <class V, class I>
[[gnu::always_inline]] inline V shuffle(V a, V b, I order) {
#if defined(__clang__)
  constexpr int lanes = sizeof(I) / sizeof(order[0]);
  V result;
  for (int i = 0; i < lanes; ++i) result[i] = order[i] < lanes ? a[order[i]] : b[order[i] - lanes];
  return result;
#else
  return __builtin_shuffle(a, b, order);
#endif
}

}  // namespace tenet::detail
