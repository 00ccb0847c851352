/// Tile registers of x86 processors (AMX): products of bf16 matrices with sums in f32.
///
/// A tile is 16 rows of 64 bytes. dot<c, a, b>() adds the product of A, 16 rows of 32 bf16, and B,
/// 16 rows of 16 pairs, to C, 16 rows of 16 f32: B's row r holds (B[2r][n], B[2r + 1][n]) for each
/// column n. Each element of C gets (sum over even k) + (sum over odd k), each in rising order, and
/// is a function of its row of A and its column of B alone. Subnormal numbers count as 0.
#pragma once

#include <tenet/core/half.h>

#include <algorithm>
#include <cstdint>

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__x86_64__)
#define TENET_HAVE_AMX 1
#include <immintrin.h>
#else
#define TENET_HAVE_AMX 0
#endif

namespace tenet::detail::amx {

/// Rows of a tile; bf16 in a row of one, which is the unit of sums over k.
inline constexpr int rows = 16, depth = 32;

/// Whether the build has these kernels, the processor the instructions, and the system lets this
/// process use them.
bool available();

#if TENET_HAVE_AMX

/// While it lives, the calling thread's eight tiles are in use.
class Tiles {
 public:
  Tiles();
  ~Tiles() { asm volatile("tilerelease" ::: "memory"); }
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;
};

/// Rows are `stride` bytes apart.
template <int tile>
[[gnu::always_inline]] inline void load(const void* from, int64_t stride) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(stride), "i"(tile) : "memory");
}
template <int tile>
[[gnu::always_inline]] inline void store(void* to, int64_t stride) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(stride), "i"(tile) : "memory");
}
template <int tile>
[[gnu::always_inline]] inline void zero() {
  asm volatile("tilezero %%tmm%c0" ::"i"(tile));
}
template <int c, int a, int b>
[[gnu::always_inline]] inline void dot() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(c), "i"(a), "i"(b));
}

/// A mask of the first `count` of 32 lanes.
inline __mmask32 first_lanes(int64_t count) {
  return static_cast<__mmask32>((uint64_t{1} << std::clamp<int64_t>(count, 0, 32)) - 1);
}

/// `low` and then `high`, rounded to bf16.
[[gnu::always_inline]] inline __m512i round_both(__m512 low, __m512 high) {
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

/// to = (first[0], second[0], first[1], second[1], ...) of 32 bf16 each.
[[gnu::always_inline]] inline void store_pairs(__m512i first, __m512i second, void* to) {
  alignas(64) static constexpr uint16_t low[32] = {0,  32, 1,  33, 2,  34, 3,  35, 4,  36, 5,
                                                   37, 6,  38, 7,  39, 8,  40, 9,  41, 10, 42,
                                                   11, 43, 12, 44, 13, 45, 14, 46, 15, 47};
  const __m512i order = _mm512_load_si512(low);
  const __m512i upper = _mm512_add_epi16(order, _mm512_set1_epi16(16));
  auto* const out = static_cast<char*>(to);
  _mm512_storeu_si512(out, _mm512_permutex2var_epi16(first, order, second));
  _mm512_storeu_si512(out + 64, _mm512_permutex2var_epi16(first, upper, second));
}

#endif

}  // namespace tenet::detail::amx
