/// The gradients of keys and values in band attention of f32 and f64.
#include <tenet/cuda/detail/attention_fma_backward_task.h>
#include <tenet/cuda/detail/attention_launch.h>

namespace tenet::cuda::attention {
namespace {

template <class T, int W>
__global__ void __launch_bounds__(kFmaThreads, 1) keys_kernel(const __grid_constant__ Task<T> t) {
  FmaKeys<Gpu, T, W>(t, shared_memory<char>()).run();
}

}  // namespace

template <class T>
bool launch_fma_keys(const Task<T>& t) {
  return dispatch_width<T>(t.size, [&]<int W>() {
    return launch_tiles("attention_backward", &keys_kernel<T, W>, t.heads * key_blocks(t.Lk),
                        kFmaThreads, FmaKeys<Gpu, T, W>::bytes(), t);
  });
}

template bool launch_fma_keys(const Task<float>&);
template bool launch_fma_keys(const Task<double>&);

}  // namespace tenet::cuda::attention
