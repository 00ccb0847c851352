/// A GPU that is none: on a machine without one, TENET_STAND_IN_GPU=1 gives a test program a cuda:0
/// whose kernels are the CPU's and whose memory nobody else may touch.
///
/// The addresses of its memory are closed to all (PROT_NONE); kernels get others, at which the same
/// memory is open. It comes filled with NaN. So what runs through it reads no GPU memory from the
/// host, leaves no kernel slot out, hands no kernel a tensor of another device and reads nothing
/// uninitialised. It says nothing of cuda/, which it replaces, also in a build with CUDA.
#pragma once

#include <string>
#include <vector>

namespace tenet::test {

/// Whether TENET_STAND_IN_GPU asks for it.
bool wants_stand_in_gpu();

/// Puts memory and runtime in place, before anything else is done; kernel slots are filled by then.
void install_stand_in_gpu();

/// Bytes of cuda:0 that the stand-in hands out at most.
inline constexpr long long stand_in_bytes = 8LL << 30;

namespace stand_in {

/// Where the host may touch what is at `data` of the stand-in.
void* opened(const void* data);

/// Whether [data, data + 1) is memory of the stand-in.
bool owns(const void* data);

/// Fills the empty CUDA slots.
void fill_slots();
/// The names of those that are empty.
std::vector<std::string> empty_slots();

}  // namespace stand_in
}  // namespace tenet::test
