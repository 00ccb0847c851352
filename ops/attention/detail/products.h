/// The three products of a panel of queries and a strip of keys: scores, sums over keys and sums
/// over queries; by vectors, and for bf16 by tile registers.
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

#if TENET_HAVE_AMX

/// Two tiles of keys at a time: a product waits for the one before it.
inline void panel_scores(const Strip<bf16>& keys, const bf16* rows, const bf16* columns,
                         const Visibility<bf16>& see, float* s) {
  constexpr int64_t P = kPanel<bf16>, row = P * sizeof(float);
  const int64_t stride = keys.width * static_cast<int64_t>(sizeof(bf16));
  const bool high = see.last[1] > see.first[1];
  for (int64_t j = see.lowest - see.lowest % amx::rows; j < see.highest; j += 2 * amx::rows) {
    const bool more = j + amx::rows < see.highest;
    amx::zero<0>();
    amx::zero<1>();
    amx::zero<2>();
    amx::zero<3>();
    for (int64_t k = 0; k < keys.width; k += amx::depth) {
      const bf16* a = rows + j * keys.width + k;
      amx::load<4>(a, stride);
      amx::load<6>(columns + k * P, row);
      amx::dot<0, 4, 6>();
      if (more) {
        amx::load<5>(a + amx::rows * keys.width, stride);
        amx::dot<2, 5, 6>();
      }
      if (high) {
        amx::load<7>(columns + k * P + amx::depth, row);
        amx::dot<1, 4, 7>();
        if (more) amx::dot<3, 5, 7>();
      }
    }
    amx::store<0>(s + j * P, row);
    if (high) amx::store<1>(s + j * P + amx::rows, row);
    if (more) amx::store<2>(s + (j + amx::rows) * P, row);
    if (more && high) amx::store<3>(s + (j + amx::rows) * P + amx::rows, row);
  }
}

/// The weights of vector n of queries for the keys [key, key + 32) as a tile A, [query][key], 0
/// outside the range that the vector sees: their upper 16 bits, or what remains of them.
template <bool upper>
inline void weight_tile(const Visibility<bf16>& see, int n, int64_t key, const float* w, bf16* to) {
  const auto weights = [&](int64_t j) {
    if (j < see.first[n] || j >= see.last[n]) return Vector<float>{};
    const Vector<float> all = load(w + j * kPanel<bf16> + n * amx::rows);
    const auto high = (Vector<float>)((IndexVector<float>)all & -0x10000);
    return upper ? high : all - high;
  };
  alignas(64) float pairs[amx::rows * amx::rows];
#pragma GCC unroll 16
  for (int r = 0; r < amx::rows; ++r) {
    const int64_t j = key + 2 * r;
    store(pairs + r * amx::rows, (Vector<float>)amx::round_pairs(weights(j), weights(j + 1)));
  }
  transpose_block(pairs, amx::rows, reinterpret_cast<float*>(to), amx::rows);
}

/// Visits up to four tiles of 16 columns side by side, of `left` columns.
template <class Visit>
inline void four_columns(int64_t left, Visit&& visit) {
  visit.template operator()<0>();
  if (left > amx::rows) visit.template operator()<1>();
  if (left > 2 * amx::rows) visit.template operator()<2>();
  if (left > 3 * amx::rows) visit.template operator()<3>();
}

/// Weights count with 16 bits of their fractions, as two bf16.
inline void weigh(const Strip<bf16>& keys, const bf16* rows, const Visibility<bf16>& see,
                  const float* w, float* o) {
  const int64_t width = keys.width, stride = width * static_cast<int64_t>(sizeof(float));
  alignas(64) bf16 upper[amx::rows * amx::depth], lower[amx::rows * amx::depth];
  for (int n = 0; n < 2 && n * amx::rows < see.count; ++n) {
    float* const to = o + n * amx::rows * width;
    for (int64_t column = 0; column < width; column += 4 * amx::rows) {
      four_columns(width - column, [&]<int c>() { amx::zero<c>(); });
      for (int64_t j = see.first[n] - see.first[n] % amx::depth; j < see.last[n]; j += amx::depth) {
        weight_tile<true>(see, n, j, w, upper);
        weight_tile<false>(see, n, j, w, lower);
        amx::load<4>(upper, 64);
        amx::load<5>(lower, 64);
        four_columns(width - column, [&]<int c>() {
          amx::load<6>(rows + j * width + 2 * (column + c * amx::rows), stride);
          amx::dot<c, 4, 6>();
          amx::dot<c, 5, 6>();
        });
      }
      four_columns(width - column,
                   [&]<int c>() { amx::store<c>(to + column + c * amx::rows, stride); });
    }
  }
}

/// Weights are rounded to bf16.
inline void spread(const Strip<bf16>& keys, const bf16* rows, const Visibility<bf16>& see,
                   const float* w, float* d) {
  const int64_t width = keys.width, stride = width * static_cast<int64_t>(sizeof(float));
  alignas(64) bf16 tile[amx::rows * amx::depth];
  for (int64_t j = see.lowest - see.lowest % amx::rows; j < see.highest; j += amx::rows) {
    for (int64_t r = 0; r < amx::rows; ++r) {
      const auto weights = [&](int n) {
        return j + r >= see.first[n] && j + r < see.last[n]
                   ? load(w + (j + r) * kPanel<bf16> + n * amx::rows)
                   : Vector<float>{};
      };
      _mm512_store_si512(tile + r * amx::depth, amx::round_both(weights(0), weights(1)));
    }
    amx::load<4>(tile, 64);
    for (int64_t column = 0; column < width; column += 4 * amx::rows) {
      four_columns(width - column, [&]<int c>() {
        float* const to = d + j * width + column + c * amx::rows;
        amx::load<c>(to, stride);
        amx::load<5>(rows + 2 * (column + c * amx::rows), stride);
        amx::dot<c, 4, 5>();
        amx::store<c>(to, stride);
      });
    }
  }
}

#endif

}  // namespace tenet::detail::tiles
