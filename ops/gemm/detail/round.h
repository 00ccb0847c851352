/// f32 to bf16, 16 at a time, to the bits of bf16(float).
#pragma once

#include <tenet/ops/detail/pairs.h>

namespace tenet::detail {

#if TENET_HAVE_AVX512

/// y[j] = x[j] + bias[j] rounded, then 0 if `relu` and negative; no bias if null.
inline void round_line(const float* x, const float* bias, bool relu, int64_t n, bf16* y) {
  const auto half = [&](int64_t j, __mmask16 lanes) {
    __m512 sum = _mm512_maskz_loadu_ps(lanes, x + j);
    if (bias) sum = sum + _mm512_maskz_loadu_ps(lanes, bias + j);
    const Words word = bf16_words<Words>(sum);
    if (!relu) return word;
    const auto value = (__m512)(word & 0xffff0000);
    const __mmask16 stays = _mm512_cmp_ps_mask(value, __m512{}, _CMP_NLT_UQ);
    return (Words)_mm512_maskz_mov_epi32(stays, (__m512i)word);
  };
  for (int64_t j = 0; j < n; j += 32) {
    const __mmask32 lanes = first_lanes(n - j);
    const Words low = half(j, static_cast<__mmask16>(lanes));
    const Words high = half(j + 16, static_cast<__mmask16>(lanes >> 16));
    _mm512_mask_storeu_epi16(y + j, lanes, upper_halves(low, high));
  }
}

#endif

}  // namespace tenet::detail
