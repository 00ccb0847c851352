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

/// 16-bit types, sizes up to kTileSize.
template <class T>
void launch_tile_forward(const Task<T>& t);
template <class T>
void launch_tile_queries(const Task<T>& t);
template <class T>
void launch_tile_keys(const Task<T>& t);
inline constexpr int kTileSize = 128;

/// Calls f.operator()<W>(): the size rounded up to one that there are kernels for.
template <class F>
void dispatch_width(int size, F&& f) {
  if (size <= 32) {
    f.template operator()<32>();
  } else if (size <= 64) {
    f.template operator()<64>();
  } else {
    f.template operator()<128>();
  }
}

}  // namespace tenet::cuda::attention
