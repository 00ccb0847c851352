/// Transposing copies on the GPU.
#pragma once

#include <tenet/cuda/detail/runtime.h>
#include <tenet/cuda/detail/transpose_task.h>

namespace tenet::cuda {

template <class T>
__global__ void __launch_bounds__(TransposeTask<T>::kThreads)
    run_transpose(const __grid_constant__ TransposeTask<T> task) {
  __shared__ typename TransposeTask<T>::Shared shared;
  task.load(shared, blockIdx.x, static_cast<int>(threadIdx.x));
  __syncthreads();
  task.store(shared, blockIdx.x, static_cast<int>(threadIdx.x));
}

/// to = from, if this is the way to copy them; whether it was.
template <class T>
bool transpose(const View& to, const View& from) {
  const auto task = TransposeTask<T>::of(to, from);
  if (!task || task->blocks() >= int64_t{1} << 31) return false;
  launch("copy", &run_transpose<T>, blocks_of(task->blocks(), "copy"), TransposeTask<T>::kThreads,
         0, *task);
  return true;
}

}  // namespace tenet::cuda
