/// Note [Kernels per level]
/// A package holds the code of ops/ three times, compiled for x86-64-v2, -v3 and -v4. The first is
/// the library proper. In the other two every symbol is local but the kernel slots, which are the
/// library's, and what their initializers would run at start, `slot.fill(...)` above all, stands in
/// a section of its own (cmake/level_object.sh). So no code of theirs runs unless fill_slots()
/// calls it, and it does so, before all other initializers, where the processor has the level.
#include <tenet/core/cpu_level.h>

#if defined(TENET_LEVELS)

#include <cpuid.h>

#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <string_view>

using Initializer = void (*)();
extern "C" {
[[gnu::visibility("hidden")]] extern const Initializer __start_tenet_kernels_v3[];
[[gnu::visibility("hidden")]] extern const Initializer __stop_tenet_kernels_v3[];
[[gnu::visibility("hidden")]] extern const Initializer __start_tenet_kernels_v4[];
[[gnu::visibility("hidden")]] extern const Initializer __stop_tenet_kernels_v4[];
}

namespace tenet {
namespace {

struct Registers {
  unsigned a = 0, b = 0, c = 0, d = 0;
};

/// Zeros where the processor has no such leaf.
Registers cpuid(unsigned leaf) {
  Registers r;
  if (__get_cpuid_count(leaf, 0, &r.a, &r.b, &r.c, &r.d) == 0) return {};
  return r;
}

bool has(unsigned word, std::initializer_list<int> bits) {
  for (const int bit : bits) {
    if ((word >> bit & 1) == 0) return false;
  }
  return true;
}

/// The registers that the system saves, by XCR0's bits.
unsigned saved_registers() {
  unsigned low = 0, high = 0;
  asm("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

/// 2, 3 or 4, as the x86-64 psABI defines the levels.
int processor_level() {
  const Registers one = cpuid(1), seven = cpuid(7), extended = cpuid(0x80000001);
  const bool v3 = has(one.c, {12, 22, 27, 28, 29})  // FMA, MOVBE, OSXSAVE, AVX, F16C
                  && has(seven.b, {3, 5, 8})        // BMI1, AVX2, BMI2
                  && has(extended.c, {5})           // LZCNT
                  && has(saved_registers(), {1, 2});
  if (!v3) return 2;
  const bool v4 = has(seven.b, {16, 17, 28, 30, 31})  // AVX512 F, DQ, CD, BW, VL
                  && has(saved_registers(), {5, 6, 7});
  return v4 ? 4 : 3;
}

/// The processor's level, or the lower one asked for. Nothing can catch an error this early.
int chosen_level() {
  const int best = processor_level();
  const char* asked = std::getenv("TENET_ISA");
  if (asked == nullptr || *asked == '\0') return best;
  const std::string_view name(asked);
  const int level = name == "v2" ? 2 : name == "v3" ? 3 : name == "v4" ? 4 : 0;
  if (level != 0 && level <= best) return level;
  std::fprintf(stderr,
               level == 0 ? "tenet: TENET_ISA=%s is none of v2, v3 and v4; v%d is used\n"
                          : "tenet: TENET_ISA=%s is more than this processor has; v%d is used\n",
               asked, best);
  return best;
}

constinit int level_now = 2;
constinit bool lowered = false;

[[gnu::constructor(101)]] void fill_slots() {
  level_now = chosen_level();
  lowered = level_now < processor_level();
  if (level_now == 2) return;
  const bool v3 = level_now == 3;
  const Initializer* next = v3 ? __start_tenet_kernels_v3 : __start_tenet_kernels_v4;
  const Initializer* const stop = v3 ? __stop_tenet_kernels_v3 : __stop_tenet_kernels_v4;
  for (; next != stop; ++next) (*next)();
}

}  // namespace

const char* cpu_level() {
  return level_now == 2 ? "x86-64-v2" : level_now == 3 ? "x86-64-v3" : "x86-64-v4";
}

bool detail::cpu_level_lowered() { return lowered; }

}  // namespace tenet

#else

const char* tenet::cpu_level() { return TENET_CPU_LEVEL; }
bool tenet::detail::cpu_level_lowered() { return false; }

#endif
