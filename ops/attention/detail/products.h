/// The three products of a panel of queries and a strip of keys: scores, sums over keys and sums
/// over queries; those of bf16 are in bf16_products.h.
#pragma once

#include <tenet/ops/attention/detail/strip.h>
#include <tenet/ops/attention/detail/visibility.h>

namespace tenet::detail::tiles {

/// s[j][i] = rows[j] . columns[i] for every key j and vector of queries that sees one of the kRows
/// keys around j. `columns` is a panel [width][kPanel].
template <class T>
inline void panel_scores(const Strip<T>& keys, const T* rows, const T* columns,
                         const Visibility<T>& see, T* s) {
  constexpr int64_t P = kPanel<T>;
  const auto block = [&]<int count>(int64_t j, bool low, bool high) {
    const T* a = rows + j * keys.width;
    T* c = s + j * P;
    if (low && high) {
      tile_product<count, 2, Start::zero>(keys.size, a, keys.width, 1, columns, P, c, P);
    } else {
      const int64_t n = low ? 0 : kLanes<T>;
      tile_product<count, 1, Start::zero>(keys.size, a, keys.width, 1, columns + n, P, c + n, P);
    }
  };
  for (int64_t j = see.lowest - see.lowest % kRows<T>; j < see.highest; j += kRows<T>) {
    const bool low = see.first[0] < j + kRows<T> && j < see.last[0];
    const bool high = see.first[1] < j + kRows<T> && j < see.last[1];
    if (!low && !high) continue;
    if (see.highest - j <= kRows<T> / 2) {
      block.template operator()<kRows<T> / 2>(j, low, high);
    } else {
      block.template operator()<kRows<T>>(j, low, high);
    }
  }
}

/// o[i] = sum_j w[j * kPanel + i] rows[j] over the keys around those that query i sees, 0 where it
/// sees none of them; `rows` is the strip's k_sum or v_sum.
template <class T>
inline void weigh(const Strip<T>& keys, const T* rows, const Visibility<T>& see, const T* w, T* o) {
  constexpr int64_t P = kPanel<T>;
  for (int64_t group = 0; group * kRows<T> < see.count; ++group) {
    const int64_t j = see.group_first[group], i = group * kRows<T>;
    row_product<Start::zero>(see.group_last[group] - j, w + j * P + i, 1, P, rows + j * keys.width,
                             keys.width, o + i * keys.width, keys.width, keys.width);
  }
}

/// d[j] += sum_i w[j * kPanel + i] rows[i] over the queries, for the keys that they see.
template <class T>
inline void spread(const Strip<T>& keys, const T* rows, const Visibility<T>& see, const T* w,
                   T* d) {
  const int64_t width = keys.width;
  for (int64_t j = see.lowest - see.lowest % kRows<T>; j < see.highest; j += kRows<T>) {
    int64_t from = 0, to = see.count;
    const auto blind = [&](int64_t i) { return see.end[i] <= j || see.begin[i] >= j + kRows<T>; };
    while (from < to && blind(from)) ++from;
    while (to > from && blind(to - 1)) --to;
    if (from == to) continue;
    row_product<Start::add>(to - from, w + j * kPanel<T> + from, kPanel<T>, 1, rows + from * width,
                            width, d + j * width, width, width);
  }
}

}  // namespace tenet::detail::tiles
