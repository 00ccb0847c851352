/// The launches of band attention, a file for each group of kernels.
#pragma once

#include <tenet/cuda/detail/attention_task.h>
#include <tenet/cuda/detail/runtime.h>

namespace tenet::cuda::attention {

/// The block's shared memory, as the kernels take it.
template <class S>
__device__ inline S* shared_memory() {
  extern __shared__ double2 attention_shared[];
  return reinterpret_cast<S*>(attention_shared);
}

/// Any type and size. t is complete but for what is found out beforehand.
template <class T>
void launch_general_forward(const Task<T>& t);
template <class T>
void launch_general_backward(const Task<T>& t);

}  // namespace tenet::cuda::attention
