/// What a thread of a kernel knows of itself, and how it talks to its neighbours.
///
/// Note [Tasks]: a kernel is a Task, plain C++ that takes the thread it runs as: `task(thread)`. On
/// the GPU that is a GpuThread; tests/cuda/emulated_thread.h has one that runs on the CPU, so that
/// which thread reads and writes what can be tested where there is no GPU. All threads of a block
/// meet in every sync(), all of a warp in every down() and first().
#pragma once

#include <tenet/core/macros.h>

#include <cstdint>

namespace tenet::cuda {

/// Threads that exchange values without memory: as many as the lanes of Note [Order of sums].
inline constexpr int kLanes = 16;

struct GpuThread {
  int64_t block, blocks;  // which of how many
  int thread, threads;    // in the block
  void* memory;           // shared by the block

  template <class T>
  TENET_HD T* shared() const {
    return static_cast<T*>(memory);
  }
  /// The place of this thread among all of the grid, and how many these are.
  TENET_HD int64_t place() const { return block * threads + thread; }
  TENET_HD int64_t stride() const { return blocks * threads; }

  /// Waits for the block; what its threads wrote before is seen by all after it.
  TENET_HD void sync() const {
#if defined(__CUDA_ARCH__)
    __syncthreads();
#endif
  }
  /// The value of the thread `distance` further on among these kLanes.
  template <class V>
  TENET_HD V down(V value, [[maybe_unused]] int distance) const {
#if defined(__CUDA_ARCH__)
    return __shfl_down_sync(0xffffffffu, value, distance, kLanes);
#else
    return value;
#endif
  }
  /// The value of the first of these kLanes.
  template <class V>
  TENET_HD V first(V value) const {
#if defined(__CUDA_ARCH__)
    return __shfl_sync(0xffffffffu, value, 0, kLanes);
#else
    return value;
#endif
  }
  /// Puts `value` at `place` and gives what was there, as one step among all threads.
  TENET_HD int32_t exchange([[maybe_unused]] int32_t* place, int32_t value) const {
#if defined(__CUDA_ARCH__)
    return atomicExch(place, value);
#else
    return value;
#endif
  }
};

}  // namespace tenet::cuda
