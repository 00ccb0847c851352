#include <tenet/core/cpu_level.h>
#include <tenet/ops/detail/pairs.h>

#if TENET_HAVE_AVX512
#include <cpuid.h>
#endif

namespace tenet::detail {

#if TENET_HAVE_AVX512

namespace {

constexpr int64_t group = 16;

/// a . b + sum; see Note [Products of pairs].
template <bool native>
[[gnu::always_inline]] inline __m512 add_pair(__m512 sum, __m512i a, __m512i b) {
  if constexpr (native) {
    asm("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
    return sum;
  } else {
    const auto odd = [](__m512i x) { return (__m512)((Words)x & 0xffff0000); };
    const auto even = [](__m512i x) { return (__m512)((Words)x << 16); };
    return _mm512_fmadd_ps(even(a), even(b), _mm512_fmadd_ps(odd(a), odd(b), sum));
  }
}

__m512i pair_everywhere(const bf16* from) {
  int32_t pair;
  std::memcpy(&pair, from, sizeof(pair));
  return _mm512_set1_epi32(pair);
}

/// A block of C, `height` rows high and `vectors` wide.
template <bool native, int height, int vectors>
void multiply_block(const PairProduct& x, const bf16* a, const bf16* b, float* c) {
  __m512 sum[height][vectors];
#pragma GCC unroll 8
  for (int i = 0; i < height; ++i) {
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) {
      sum[i][v] = x.add ? _mm512_loadu_ps(c + i * x.c_row + 16 * v) : _mm512_setzero_ps();
    }
  }
  for (int64_t left = x.pairs; left > 0; left -= group, a += x.a_group, b += x.b_group) {
    const int64_t pairs = std::min(left, group);
    for (int64_t p = 0; p < pairs; ++p) {
      __m512i right[vectors];
#pragma GCC unroll 2
      for (int v = 0; v < vectors; ++v) {
        right[v] = _mm512_loadu_si512(b + p * x.b_pair + v * x.b_vector);
      }
#pragma GCC unroll 8
      for (int i = 0; i < height; ++i) {
        const __m512i left_pair = pair_everywhere(a + i * x.a_row + p * x.a_pair);
#pragma GCC unroll 2
        for (int v = 0; v < vectors; ++v) {
          sum[i][v] = add_pair<native>(sum[i][v], left_pair, right[v]);
        }
      }
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < height; ++i) {
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) _mm512_storeu_ps(c + i * x.c_row + 16 * v, sum[i][v]);
  }
}

/// Blocks of `height` rows from row `i` on; returns the first row that is left.
template <bool native, int height>
int64_t multiply_rows(const PairProduct& x, int64_t i) {
  for (; i + height <= x.rows; i += height) {
    for (int64_t v = 0; v < x.vectors; v += 2) {
      const auto block = v + 1 < x.vectors ? &multiply_block<native, height, 2>
                                           : &multiply_block<native, height, 1>;
      block(x, x.a + i * x.a_row, x.b + v * x.b_vector, x.c + i * x.c_row + 16 * v);
    }
  }
  return i;
}

template <bool native>
void multiply(const PairProduct& x) {
  int64_t i = multiply_rows<native, 8>(x, 0);
  i = multiply_rows<native, 4>(x, i);
  i = multiply_rows<native, 2>(x, i);
  multiply_rows<native, 1>(x, i);
}

}  // namespace

const bool bf16_instructions = [] {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return !cpu_level_lowered() && __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a >> 5 & 1) != 0;
}();

void multiply_pairs(const PairProduct& x, bool native) {
  native ? multiply<true>(x) : multiply<false>(x);
}

#endif

}  // namespace tenet::detail
