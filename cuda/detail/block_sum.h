/// Sums over the threads of a block.
#pragma once

#include <cuda_runtime.h>

namespace tenet::cuda {

/// The sum of all threads' values by halves, in thread 0. Every thread of the block calls it;
/// `threads`, a power of two, is how many there are.
template <int threads>
__device__ double sum_of_block(double value) {
  __shared__ double sums[threads];
  __syncthreads();  // a sum before this one has been read
  sums[threadIdx.x] = value;
  __syncthreads();
  for (int half = threads / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
    __syncthreads();
  }
  return sums[0];
}

}  // namespace tenet::cuda
