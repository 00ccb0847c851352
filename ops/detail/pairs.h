/// bf16 numbers in pairs along k, as the products of x86 processors take them, and those products
/// by vectors: what serves where there are no tile registers (see amx.h).
///
/// Note [Products of pairs]. Each element of a product of A and B is one chain over k: for pairs
/// (2r, 2r + 1) in rising order,
///
///     sum = a[2r] b[2r] + (a[2r + 1] b[2r + 1] + sum),   each sum rounded once to f32
///
/// which is what the instruction vdpbf16ps computes, and two multiply-adds where it is missing. The
/// instruction takes subnormal numbers as 0.
#pragma once

#include <tenet/core/half.h>

#include <algorithm>
#include <cstdint>

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__x86_64__)
#define TENET_HAVE_AVX512 1
#include <immintrin.h>

#include <tenet/ops/detail/bf16_words.h>
#else
#define TENET_HAVE_AVX512 0
#endif

namespace tenet::detail {

/// Whether this build's kernels multiply bf16 operands as they are.
inline constexpr bool multiplies_bf16 = TENET_HAVE_AVX512;

#if TENET_HAVE_AVX512

/// Whether the processor rounds to bf16 and multiplies pairs by instructions of its own.
extern const bool bf16_instructions;

/// C (+)= A B for `rows` rows and 16 columns for each of `vectors` vectors. Pair p of row i of A
/// lies at a + i * a_row + p * a_pair; that of column n of vector v of B at b + v * b_vector + p *
/// b_pair + 2 * n; but from one group of 16 pairs to the next the steps are a_group and b_group.
/// Strides count numbers.
struct PairProduct {
  int64_t rows, vectors, pairs;
  const bf16* a;
  int64_t a_row, a_pair, a_group;
  const bf16* b;
  int64_t b_vector, b_pair, b_group;
  float* c;
  int64_t c_row;
  bool add;
};
/// `native`: by the processor's instructions, which gives the same bits but for subnormal numbers.
void multiply_pairs(const PairProduct& x, bool native = bf16_instructions);

typedef uint32_t Words __attribute__((vector_size(64)));

/// A mask of the first `count` of 32 lanes.
inline __mmask32 first_lanes(int64_t count) {
  return static_cast<__mmask32>((uint64_t{1} << std::clamp<int64_t>(count, 0, 32)) - 1);
}

/// The upper halves of `low` and then of `high`.
[[gnu::always_inline]] inline __m512i upper_halves(Words low, Words high) {
  alignas(64) static constexpr uint16_t order[32] = {1,  3,  5,  7,  9,  11, 13, 15, 17, 19, 21,
                                                     23, 25, 27, 29, 31, 33, 35, 37, 39, 41, 43,
                                                     45, 47, 49, 51, 53, 55, 57, 59, 61, 63};
  return _mm512_permutex2var_epi16((__m512i)low, _mm512_load_si512(order), (__m512i)high);
}

/// `low` and then `high`, rounded to bf16.
[[gnu::always_inline]] inline __m512i round_both(__m512 low, __m512 high) {
  if (!bf16_instructions) {
    return upper_halves(bf16_words<Words>(low), bf16_words<Words>(high));
  }
  __m512i result;
  asm("vcvtne2ps2bf16 %1, %2, %0" : "=v"(result) : "v"(low), "v"(high));
  return result;
}

/// (low[0], high[0], low[1], high[1], ...), rounded to bf16.
[[gnu::always_inline]] inline __m512i round_pairs(__m512 low, __m512 high) {
  alignas(64) static constexpr uint16_t order[32] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                                     21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                                     11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  return _mm512_permutexvar_epi16(_mm512_load_si512(order), round_both(low, high));
}

/// (first[0], second[0], first[1], ...) of 32 bf16 each: 16 pairs to `low`, the others to `high`.
[[gnu::always_inline]] inline void store_pairs(__m512i first, __m512i second, bf16* low,
                                               bf16* high) {
  alignas(64) static constexpr uint16_t order[32] = {0,  32, 1,  33, 2,  34, 3,  35, 4,  36, 5,
                                                     37, 6,  38, 7,  39, 8,  40, 9,  41, 10, 42,
                                                     11, 43, 12, 44, 13, 45, 14, 46, 15, 47};
  const __m512i lower = _mm512_load_si512(order);
  const __m512i upper = _mm512_add_epi16(lower, _mm512_set1_epi16(16));
  _mm512_storeu_si512(low, _mm512_permutex2var_epi16(first, lower, second));
  _mm512_storeu_si512(high, _mm512_permutex2var_epi16(first, upper, second));
}

#endif

}  // namespace tenet::detail
