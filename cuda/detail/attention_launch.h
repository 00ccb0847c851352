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

/// 16-bit types by tensor cores, f32 and f64 by tiles of registers. False, and nothing is done,
/// where the GPU has too little shared memory for them.
template <class T>
bool launch_tile_forward(const Task<T>& t);
template <class T>
bool launch_tile_queries(const Task<T>& t);
template <class T>
bool launch_tile_keys(const Task<T>& t);
template <class T>
bool launch_fma_forward(const Task<T>& t);
template <class T>
bool launch_fma_queries(const Task<T>& t);
template <class T>
bool launch_fma_keys(const Task<T>& t);

/// The largest size that there are tiles for.
template <class T>
inline constexpr int kTileSize = sizeof(T) == 8 ? 64 : 128;

/// Calls f.operator()<W>(): the size rounded up to one that there are kernels for.
template <class T, class F>
bool dispatch_width(int size, F&& f) {
  if (size <= 32) return f.template operator()<32>();
  if constexpr (kTileSize < T >> 64) {
    if (size > 64) return f.template operator()<128>();
  }
  return f.template operator()<64>();
}

/// launch(), if the GPU has so much shared memory.
template <class T>
bool launch_tiles(const char* name, void (*kernel)(Task<T>), int64_t blocks, int threads,
                  int64_t shared_bytes, const Task<T>& t) {
  if (shared_bytes > facts().shared_bytes) return false;
  launch(name, kernel, blocks_of(blocks, name), static_cast<unsigned>(threads), shared_bytes, t);
  return true;
}

}  // namespace tenet::cuda::attention
