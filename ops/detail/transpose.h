/// Rows and columns of small squares exchanged.
#pragma once

#include <tenet/ops/detail/shuffle.h>

#include <cstdint>

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace tenet::detail {

/// Transposes a square in registers: n rows V of n lanes; I is a vector of as many indices.
template <int n, class I, class V>
[[gnu::always_inline]] inline void transpose_registers(V* row) {
#pragma GCC unroll 8
  for (int half = n / 2; half > 0; half /= 2) {  // swaps quarters, quarters of each quarter, ...
    I upper = {}, lower = {};
#pragma GCC unroll 16
    for (int j = 0; j < n; ++j) {
      upper[j] = (j & half) ? n + j - half : j;
      lower[j] = (j & half) ? n + j : j + half;
    }
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i) {
      if (i & half) continue;
      const V a = row[i], b = row[i + half];
      row[i] = shuffle(a, b, upper);
      row[i + half] = shuffle(a, b, lower);
    }
  }
}

#if defined(__AVX512F__)
/// Calls visit(k, column k) for the 16 columns of a square whose row i is the 16 words at row(i).
/// Loads of four words take the place of half of the permutations.
template <class Row, class Visit>
[[gnu::always_inline]] inline void visit_columns(Row&& row, Visit&& visit) {
  constexpr __mmask16 all = 0xffff;  // plain intrinsics look uninitialised to GCC 12
#pragma GCC unroll 4
  for (int k = 0; k < 16; k += 4) {
    __m512 part[4];  // columns k to k + 3 of rows r, r + 4, r + 8 and r + 12
#pragma GCC unroll 4
    for (int r = 0; r < 4; ++r) {
      part[r] = _mm512_zextps128_ps512(_mm_loadu_ps(row(r) + k));
      part[r] = _mm512_maskz_insertf32x4(all, part[r], _mm_loadu_ps(row(r + 4) + k), 1);
      part[r] = _mm512_maskz_insertf32x4(all, part[r], _mm_loadu_ps(row(r + 8) + k), 2);
      part[r] = _mm512_maskz_insertf32x4(all, part[r], _mm_loadu_ps(row(r + 12) + k), 3);
    }
    const auto low = [&](int r) {
      return _mm512_castps_pd(_mm512_maskz_unpacklo_ps(all, part[r], part[r + 1]));
    };
    const auto high = [&](int r) {
      return _mm512_castps_pd(_mm512_maskz_unpackhi_ps(all, part[r], part[r + 1]));
    };
    visit(k, _mm512_castpd_ps(_mm512_maskz_unpacklo_pd(0xff, low(0), low(2))));
    visit(k + 1, _mm512_castpd_ps(_mm512_maskz_unpackhi_pd(0xff, low(0), low(2))));
    visit(k + 2, _mm512_castpd_ps(_mm512_maskz_unpacklo_pd(0xff, high(0), high(2))));
    visit(k + 3, _mm512_castpd_ps(_mm512_maskz_unpackhi_pd(0xff, high(0), high(2))));
  }
}
#endif

}  // namespace tenet::detail
