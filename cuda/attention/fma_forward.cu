/// The forward pass of band attention of f32 and f64.
#include <tenet/cuda/detail/attention_fma_forward_task.h>
#include <tenet/cuda/detail/attention_launch.h>

namespace tenet::cuda::attention {
namespace {

template <class T, int W>
__global__ void __launch_bounds__(kFmaThreads, sizeof(T) == 8 ? 1 : 2)
    forward_kernel(const __grid_constant__ Task<T> t) {
  FmaForward<Gpu, T, W>(t, shared_memory<char>()).run();
}

}  // namespace

template <class T>
bool launch_fma_forward(const Task<T>& t) {
  return dispatch_width<T>(t.size, [&]<int W>() {
    const QueryBlocks blocks{t.Lq, t.sight.offset, t.sight.chunk, kTile};
    return launch_tiles("attention", &forward_kernel<T, W>, t.heads * blocks.count(), kFmaThreads,
                        FmaForward<Gpu, T, W>::bytes(), t);
  });
}

template bool launch_fma_forward(const Task<float>&);
template bool launch_fma_forward(const Task<double>&);

}  // namespace tenet::cuda::attention
