/// Launching Tasks; see Note [Tasks] in gpu_thread.h.
#pragma once

#include <tenet/cuda/detail/gpu_thread.h>
#include <tenet/cuda/detail/runtime.h>

namespace tenet::cuda {

/// Task::most_threads: the most threads that a block of it has.
template <class Task>
__global__ void __launch_bounds__(Task::most_threads) run_task(const __grid_constant__ Task task) {
  extern __shared__ __align__(16) unsigned char shared[];
  task(GpuThread{blockIdx.x, gridDim.x, static_cast<int>(threadIdx.x), static_cast<int>(blockDim.x),
                 shared});
}

template <class Task>
void launch_task(const char* name, const Task& task, int64_t blocks, int threads,
                 int64_t shared_bytes = 0) {
  launch(name, &run_task<Task>, blocks_of(blocks, name), static_cast<unsigned>(threads),
         shared_bytes, task);
}

/// A task whose threads stride over `count` things, `each` of them per thread at least.
template <class Task>
void launch_strided(const char* name, const Task& task, int64_t count, int each = 1) {
  launch_task(name, task, grid_for(count, int64_t{Task::most_threads} * each), Task::most_threads);
}

}  // namespace tenet::cuda
