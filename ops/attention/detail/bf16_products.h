/// The three products of a panel of queries and a strip of keys in bf16: by tile registers, or else
/// by vectors of pairs.
#pragma once

#include <tenet/ops/attention/detail/strip.h>
#include <tenet/ops/attention/detail/visibility.h>

namespace tenet::detail::tiles {

#if TENET_HAVE_AVX512

enum class Part { upper, lower };

/// The weights of vector n of queries for the keys [key, key + 32) as pairs of keys, [pair][query],
/// 0 outside the range that the vector sees: their upper 16 bits, or what remains of them.
template <Part part>
inline void weight_pairs(const Visibility<bf16>& see, int n, int64_t key, const float* w,
                         bf16* to) {
  const auto weights = [&](int64_t j) {
    if (j < see.first[n] || j >= see.last[n]) return Vector<float>{};
    const Vector<float> all = load(w + j * kPanel<bf16> + n * amx::rows);
    const auto upper = (Vector<float>)((IndexVector<float>)all & -0x10000);
    return part == Part::upper ? upper : all - upper;
  };
#pragma GCC unroll 16
  for (int r = 0; r < amx::rows; ++r) {
    const int64_t j = key + 2 * r;
    _mm512_store_si512(to + r * amx::depth, round_pairs(weights(j), weights(j + 1)));
  }
}

/// The weights of the keys [key, key + count) rounded to bf16, [key][query].
inline void rounded_weights(const Visibility<bf16>& see, int64_t key, int64_t count, const float* w,
                            bf16* to) {
  for (int64_t j = key; j < key + count; ++j) {
    const auto weights = [&](int n) {
      return j >= see.first[n] && j < see.last[n] ? load(w + j * kPanel<bf16> + n * amx::rows)
                                                  : Vector<float>{};
    };
    _mm512_store_si512(to + (j - key) * amx::depth, round_both(weights(0), weights(1)));
  }
}

namespace by_registers {

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

/// The weights as a tile A, [query][key].
template <Part part>
inline void weight_tile(const Visibility<bf16>& see, int n, int64_t key, const float* w, bf16* to) {
  alignas(64) bf16 pairs[amx::rows * amx::depth];
  weight_pairs<part>(see, n, key, w, pairs);
  transpose_block(reinterpret_cast<const float*>(pairs), amx::rows, reinterpret_cast<float*>(to),
                  amx::rows);
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
        weight_tile<Part::upper>(see, n, j, w, upper);
        weight_tile<Part::lower>(see, n, j, w, lower);
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
    rounded_weights(see, j, amx::rows, w, tile);
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

}  // namespace by_registers

namespace by_vectors {

/// A product whose pairs along k lie in rows of B of `b_row` numbers.
inline PairProduct pair_product(int64_t rows, int64_t columns, int64_t pairs, int64_t b_row) {
  PairProduct x{};
  x.rows = rows, x.vectors = columns / 16, x.pairs = pairs;
  x.b_vector = 32, x.b_pair = b_row, x.b_group = 16 * b_row;
  return x;
}

inline void panel_scores(const Strip<bf16>& keys, const bf16* rows, const bf16* columns,
                         const Visibility<bf16>& see, float* s) {
  constexpr int64_t P = kPanel<bf16>, height = kRows<bf16>, lanes = kLanes<bf16>;
  for (int64_t j = see.lowest - see.lowest % height; j < see.highest; j += height) {
    const bool low = see.first[0] < j + height && j < see.last[0];
    const bool high = see.first[1] < j + height && j < see.last[1];
    if (!low && !high) continue;
    const int64_t n = low ? 0 : lanes;
    PairProduct x = pair_product(height, low && high ? P : lanes, (keys.size + 1) / 2, 2 * P);
    x.a = rows + j * keys.width, x.a_row = keys.width, x.a_pair = 2, x.a_group = 32;
    x.b = columns + 2 * n;
    x.c = s + j * P + n, x.c_row = P;
    multiply_pairs(x);
  }
}

/// Weights count with 16 bits of their fractions, as two bf16.
inline void weigh(const Strip<bf16>& keys, const bf16* rows, const Visibility<bf16>& see,
                  const float* w, float* o) {
  constexpr int64_t height = kRows<bf16>, lanes = kLanes<bf16>, block = 2 * lanes;
  const int64_t width = keys.width;
  alignas(64) bf16 weights[2][block * lanes];
  for (int n = 0; n < 2 && n * lanes < see.count; ++n) {
    std::fill_n(o + n * lanes * width, lanes * width, 0.0f);
    for (int64_t j = see.first[n] - see.first[n] % block; j < see.last[n]; j += block) {
      weight_pairs<Part::upper>(see, n, j, w, weights[0]);
      weight_pairs<Part::lower>(see, n, j, w, weights[1]);
      for (int64_t i = n * lanes; i < (n + 1) * lanes; i += height) {
        const int64_t first = std::max(see.group_first[i / height], j) / 2;
        const int64_t last = (std::min(see.group_last[i / height], j + block) + 1) / 2;
        if (first >= last) continue;
        PairProduct x = pair_product(height, width, last - first, 2 * width);
        x.a_row = 2, x.a_pair = block;
        x.b = rows + 2 * first * width;
        x.c = o + i * width, x.c_row = width, x.add = true;
        for (const bf16* part : weights) {
          x.a = part + (first - j / 2) * block + 2 * (i - n * lanes);
          multiply_pairs(x);
        }
      }
    }
  }
}

/// Weights are rounded to bf16.
inline void spread(const Strip<bf16>& keys, const bf16* rows, const Visibility<bf16>& see,
                   const float* w, float* d) {
  constexpr int64_t height = kRows<bf16>;
  const int64_t width = keys.width;
  alignas(64) bf16 weights[height * kPanel<bf16>];
  for (int64_t j = see.lowest - see.lowest % height; j < see.highest; j += height) {
    int64_t from = 0, to = see.count;
    const auto blind = [&](int64_t i) { return see.end[i] <= j || see.begin[i] >= j + height; };
    while (from < to && blind(from)) ++from;
    while (to > from && blind(to - 1)) --to;
    if (from == to) continue;
    rounded_weights(see, j, height, w, weights);
    PairProduct x = pair_product(height, width, (to + 1) / 2 - from / 2, 2 * width);
    x.a = weights + from / 2 * 2, x.a_row = kPanel<bf16>, x.a_pair = 2, x.a_group = 32;
    x.b = rows + from / 2 * 2 * width;
    x.c = d + j * width, x.c_row = width, x.add = true;
    multiply_pairs(x);
  }
}

}  // namespace by_vectors

/// These functions are those of products.h.
inline void panel_scores(const Strip<bf16>& keys, const bf16* rows, const bf16* columns,
                         const Visibility<bf16>& see, float* s) {
  (amx::available() ? by_registers::panel_scores : by_vectors::panel_scores)(keys, rows, columns,
                                                                             see, s);
}
inline void weigh(const Strip<bf16>& keys, const bf16* rows, const Visibility<bf16>& see,
                  const float* w, float* o) {
  (amx::available() ? by_registers::weigh : by_vectors::weigh)(keys, rows, see, w, o);
}
inline void spread(const Strip<bf16>& keys, const bf16* rows, const Visibility<bf16>& see,
                   const float* w, float* d) {
  (amx::available() ? by_registers::spread : by_vectors::spread)(keys, rows, see, w, d);
}

#endif

}  // namespace tenet::detail::tiles
