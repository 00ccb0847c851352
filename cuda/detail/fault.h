/// Errors of values: what a kernel finds wrong with a number.
///
/// Note [Faults]: a launch cannot raise an Error without waiting for it, and a training step waits
/// for nothing. So a kernel notes the fault of the lowest place in its device's Fault, the first
/// launch that has one wins, and the program learns of it where it waits anyhow: when a result is
/// read (Tensor::to(Device::cpu()), item()) or at synchronize(). What kernels do after a fault is
/// defined (indices are clamped, the stream's numbers too), and its results are never read.
#pragma once

#include <tenet/cuda/detail/runtime.h>

#include <string>

namespace tenet::cuda {

/// What was wrong; all but `launch`, `place` and `value` is known before the launch.
struct FaultFacts {
  const char* op = "";      // outlives the program
  int64_t numbers[2] = {};  // for `say`, as it likes
  Shape shape;              // likewise
};
/// What the kernel writes.
struct Fault {
  unsigned locked;
  unsigned long long launch;  // 0: there is none
  long long place, integer;   // which element; its value
  double real;                // its value
};
/// The text of the Error.
using SayFault = std::string (*)(const FaultFacts& facts, const Fault& fault);

/// What a kernel takes by value so that it can note a fault.
struct FaultNote {
  Fault* fault = nullptr;
  unsigned long long launch = 0;
};

/// Announces a launch that may find faults.
FaultNote expect_faults(const FaultFacts& facts, SayFault say);

/// Copies the current device's fault to pinned memory, in order with its other work; gives the
/// number of the latest launch that may have noted it.
unsigned long long copy_fault(Fault* to);
/// Launches of the current device up to `last` have found nothing.
void forget_launches(unsigned long long last);

/// Raises the Error of a fault of the current device, and forgets it.
[[noreturn]] void raise_fault(const Fault& fault);

/// Waits for the current device's stream; raises the first fault noted since the last time.
void raise_faults();

#if defined(__CUDACC__)
/// Notes that element `place` is bad. Any number of threads may do so: the earliest launch, and of
/// it the lowest place, is kept.
__device__ inline void note_fault(const FaultNote& note, int64_t place, int64_t integer,
                                  double real = 0) {
  Fault& fault = *note.fault;
  while (atomicCAS(&fault.locked, 0u, 1u) != 0u) __nanosleep(64);
  __threadfence();
  volatile Fault& seen = fault;
  const bool earlier = seen.launch == 0 || note.launch < seen.launch ||
                       (note.launch == seen.launch && place < seen.place);
  if (earlier) {
    seen.launch = note.launch;
    seen.place = place;
    seen.integer = integer;
    seen.real = real;
  }
  __threadfence();
  atomicExch(&fault.locked, 0u);
}
#endif

}  // namespace tenet::cuda
