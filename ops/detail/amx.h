/// Tile registers of x86 processors (AMX): products of bf16 matrices with sums in f32.
///
/// A tile is 16 rows of 64 bytes. dot<c, a, b>() adds the product of A, 16 rows of 32 bf16, and B,
/// 16 rows of 16 pairs, to C, 16 rows of 16 f32: B's row r holds (B[2r][n], B[2r + 1][n]) for each
/// column n. Each element of C gets (sum over even k) + (sum over odd k), each in rising order, and
/// is a function of its row of A and its column of B alone. Subnormal numbers count as 0.
#pragma once

#include <tenet/ops/detail/pairs.h>

namespace tenet::detail::amx {

/// Rows of a tile; bf16 in a row of one, which is the unit of sums over k.
inline constexpr int rows = 16, depth = 32;

/// Whether the build has these kernels, the processor the instructions, and the system lets this
/// process use them.
bool available();

#if TENET_HAVE_AVX512

/// While it lives, the calling thread's eight tiles are in use, if they are available().
class Tiles {
 public:
  Tiles();
  ~Tiles();
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

#endif

}  // namespace tenet::detail::amx
