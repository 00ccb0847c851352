/// Drawing on the GPU.
#pragma once

#include <tenet/cuda/detail/random_task.h>
#include <tenet/cuda/detail/runtime.h>

namespace tenet::cuda {

template <class F>
__global__ void __launch_bounds__(256) run_random(const __grid_constant__ RandomTask<F> task) {
  task.run(int64_t{blockIdx.x} * blockDim.x + threadIdx.x, int64_t{gridDim.x} * blockDim.x);
}

/// Calls fn(i, words, k) for each element i < count of the draw at `key`, whose word is
/// words.word[k].
template <class F>
void for_each_word(const char* name, const PhiloxKey& key, int64_t count, const F& fn) {
  launch(name, &run_random<F>, grid_for(count, 1024), 256, 0, RandomTask<F>{key, count, fn});
}

}  // namespace tenet::cuda
