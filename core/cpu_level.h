/// Which of the compiled kernels run.
#pragma once

namespace tenet {

/// The instruction set of the kernels: "x86-64-v2", "x86-64-v3" or "x86-64-v4", the best that this
/// processor has or the lower one that the environment variable TENET_ISA=v2|v3|v4 names. A build
/// with one set of kernels says "native" (-DTENET_NATIVE=ON) or "generic".
const char* cpu_level();

namespace detail {
/// Whether cpu_level() is lower than the processor's, because TENET_ISA said so.
bool cpu_level_lowered();
}  // namespace detail

}  // namespace tenet
