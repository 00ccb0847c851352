/// The gradients of keys and values in band attention of 16-bit types.
#include <tenet/cuda/detail/attention_backward_task.h>
#include <tenet/cuda/detail/attention_launch.h>

namespace tenet::cuda::attention {
namespace {

template <class T, int W>
__global__ void __launch_bounds__(128, 2) keys_kernel(const __grid_constant__ Task<T> t) {
  TileKeys<Gpu, T, W>(t, shared_memory<char>()).run();
}

}  // namespace

template <class T>
bool launch_tile_keys(const Task<T>& t) {
  return dispatch_width<T>(t.size, [&]<int W>() {
    return launch_tiles("attention_backward", &keys_kernel<T, W>, t.heads * key_blocks(t.Lk),
                        TileKeys<Gpu, T, W>::kWarps * kWarp, TileKeys<Gpu, T, W>::bytes(), t);
  });
}

template bool launch_tile_keys(const Task<bf16>&);
template bool launch_tile_keys(const Task<f16>&);

}  // namespace tenet::cuda::attention
