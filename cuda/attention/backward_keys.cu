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
void launch_tile_keys(const Task<T>& t) {
  const char* const name = "attention_backward";
  dispatch_width(t.size, [&]<int W>() {
    using Kernel = TileKeys<Gpu, T, W>;
    launch(name, &keys_kernel<T, W>, blocks_of(t.heads * key_blocks(t.Lk), name),
           Kernel::kWarps * kWarp, Kernel::bytes(), t);
  });
}

template void launch_tile_keys(const Task<bf16>&);
template void launch_tile_keys(const Task<f16>&);

}  // namespace tenet::cuda::attention
