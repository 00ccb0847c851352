/// Sums and maxima over the elements of one row in the order of Note [Order of sums]
/// (ops/reduce.h), for fused kernels.
#pragma once

#include <tenet/core/dtype.h>
#include <tenet/ops/detail/loop.h>
#include <tenet/ops/detail/pack.h>
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
  /// Elements i to i + Pack::size.
  Pack pack(int64_t i) const {
    if constexpr (unit && std::is_same_v<T, float>) return Pack::load(data + i);
    float some[Pack::size];
    for (int64_t k = 0; k < Pack::size; ++k) some[k] = static_cast<float>((*this)(i + k));
    return Pack::load(some);
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
  return fold<reduce_lanes / 2>(lanes, combine);
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

/// to[i] = e^value(i), i < n; `to` is not what value() reads.
template <class C, class Value>
[[gnu::always_inline]] inline void exp_each(int64_t n, const Value& value, C* to) {
  TENET_IVDEP
  for (int64_t i = 0; i < n; ++i) to[i] = value(i);
  exp_in_place(n, to);
}

/// sum over i < n of e^value(i); `last` (reduce_block) ends up with the terms of the last block.
template <class C, class Value>
[[gnu::always_inline]] inline double exp_sum(int64_t n, const Value& value, C* last) {
  double total = 0;
  for (int64_t begin = 0; begin < n; begin += reduce_block) {
    const int64_t count = std::min(n - begin, reduce_block);
    exp_each(
        count, [&](int64_t i) { return value(begin + i); }, last);
    total += ordered_sum<C>(count, [&](C sum, int64_t i) { return sum + last[i]; });
  }
  return total;
}

/// The largest element of a row of n; -inf if there is none. NaN is not seen.
template <class C, class Reader>
[[gnu::always_inline]] inline C row_max(int64_t n, const Reader& x) {
  const auto larger = [](C a, C b) { return b > a ? b : a; };
  C result = -std::numeric_limits<C>::infinity();
  int64_t i = 0;
  if constexpr (std::is_same_v<C, float>) {
    Pack largest = result;
    for (; i + Pack::size <= n; i += Pack::size) {
      const Pack y = x.pack(i);
      largest = select(y > largest, y, largest);
    }
    float lanes[Pack::size];
    largest.store(lanes);
    result = fold<Pack::size / 2>(lanes, larger);
  }
  for (; i < n; ++i) result = larger(result, x(i));
  return result;
}

}  // namespace tenet::detail
