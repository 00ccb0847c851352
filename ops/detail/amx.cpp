#include <tenet/ops/detail/amx.h>

#if TENET_HAVE_AVX512
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace tenet::detail::amx {

#if TENET_HAVE_AVX512

namespace {

/// Asks Linux to save the tiles with a thread's other registers.
bool permitted() {
  constexpr long request = 0x1023, tile_data = 18;
  return ::syscall(SYS_arch_prctl, request, tile_data) == 0;
}

bool has_instructions() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
  return (d >> 22 & 1) != 0 && (d >> 24 & 1) != 0;
}

struct alignas(64) Configuration {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t tile_rows[16] = {};

  constexpr Configuration() {
    for (int tile = 0; tile < 8; ++tile) row_bytes[tile] = 64, tile_rows[tile] = rows;
  }
};

}  // namespace

bool available() {
  static const bool result = bf16_instructions && has_instructions() && permitted();
  return result;
}

Tiles::Tiles() {
  static constexpr Configuration all;
  if (available()) asm volatile("ldtilecfg %0" ::"m"(all));
}

Tiles::~Tiles() {
  if (available()) asm volatile("tilerelease" ::: "memory");
}

#else

bool available() { return false; }

#endif

}  // namespace tenet::detail::amx
