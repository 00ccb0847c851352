/// Sums and maxima over the elements of one row in the order of Note [Order of sums]
/// (ops/reduce.h), for fused kernels.
#pragma once

#include <tenet/core/dtype.h>
#include <tenet/ops/detail/reduce.h>

#include <algorithm>

namespace tenet::detail {

/// The elements of a row, read in their arithmetic type. `unit`: the step is 1.
template <class T, bool unit>
struct RowReader {
  const T* data;
  int64_t step;
  Compute<T> operator()(int64_t i) const {
    return static_cast<Compute<T>>(data[unit ? i : i * step]);
  }
};
template <class T, bool unit>
struct RowWriter {
  T* data;
  int64_t step;
  void operator()(int64_t i, Compute<T> value) const { data[unit ? i : i * step] = T(value); }
};

/// combine over i in [begin, end) of `add(lane, i)`, starting from `init`, at most one block.
template <class C, class Add, class Combine>
[[gnu::always_inline]] inline C over_lanes(int64_t begin, int64_t end, C init, const Add& add,
                                           const Combine& combine) {
  C lanes[reduce_lanes];
  for (C& lane : lanes) lane = init;
  int64_t i = begin;
  for (; i + reduce_lanes <= end; i += reduce_lanes) {
    for (int k = 0; k < reduce_lanes; ++k) lanes[k] = add(lanes[k], i + k);
  }
  for (int k = 0; i + k < end; ++k) lanes[k] = add(lanes[k], i + k);
  for (int half = reduce_lanes / 2; half > 0; half /= 2) {
    for (int k = 0; k < half; ++k) lanes[k] = combine(lanes[k], lanes[k + half]);
  }
  return lanes[0];
}

/// sum over i < n, where add(sum, i) is the sum with term i.
template <class C, class Add>
[[gnu::always_inline]] inline double ordered_sum(int64_t n, const Add& add) {
  double total = 0;
  for (int64_t begin = 0; begin < n; begin += reduce_block) {
    total += over_lanes<C>(begin, std::min(n, begin + reduce_block), C(0), add,
                           [](C a, C b) { return a + b; });
  }
  return total;
}

/// The largest value(i), i < n; -inf if there is none. NaN is not seen.
template <class C, class Value>
[[gnu::always_inline]] inline C row_max(int64_t n, const Value& value) {
  const auto larger = [](C a, C b) { return b > a ? b : a; };
  return over_lanes<C>(
      0, n, -std::numeric_limits<C>::infinity(),
      [&](C a, int64_t i) { return larger(a, value(i)); }, larger);
}

}  // namespace tenet::detail
