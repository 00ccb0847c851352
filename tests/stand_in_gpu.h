/// A GPU that is none: on a machine without one, TENET_STAND_IN_GPU=1 gives a test program a cuda:0
/// whose kernels are the CPU's and whose memory nobody else may touch.
///
/// Memory of the stand-in is closed to the program (PROT_NONE) but for the time of each kernel, and
/// comes filled with NaN. So what runs through it reads no GPU memory from the host, leaves no
/// kernel slot out, hands no kernel a tensor of another device and reads nothing uninitialised. It
/// says nothing of cuda/, which it replaces, also in a build with CUDA.
#pragma once

namespace tenet::test {

/// Whether TENET_STAND_IN_GPU asks for it.
bool wants_stand_in_gpu();

/// Puts memory and runtime in place, before anything else is done; kernel slots are filled by then.
void install_stand_in_gpu();

/// Bytes of cuda:0 that the stand-in hands out at most.
inline constexpr long long stand_in_bytes = 8LL << 30;

namespace stand_in {

/// Opens the memory while it lives; several may.
class Open {
 public:
  Open();
  ~Open();
  Open(const Open&) = delete;
  Open& operator=(const Open&) = delete;
};

/// Whether [data, data + 1) is memory of the stand-in.
bool owns(const void* data);

/// Fills the empty CUDA slots, and how many there are.
int fill_slots();

}  // namespace stand_in
}  // namespace tenet::test
