/// The forward pass of band attention of 16-bit types.
#include <tenet/cuda/detail/attention_forward_task.h>
#include <tenet/cuda/detail/attention_launch.h>

namespace tenet::cuda::attention {
namespace {

template <class T, int W>
__global__ void __launch_bounds__(128, W > 64 ? 2 : 3)
    forward_kernel(const __grid_constant__ Task<T> t) {
  TileForward<Gpu, T, W>(t, shared_memory<char>()).run();
}

}  // namespace

template <class T>
bool launch_tile_forward(const Task<T>& t) {
  return dispatch_width<T>(t.size, [&]<int W>() {
    const int warps = tile_warps(t.sight.chunk);
    const QueryBlocks blocks{t.Lq, t.sight.offset, t.sight.chunk, 16 * warps};
    return launch_tiles("attention", &forward_kernel<T, W>, t.heads * blocks.count(), warps * kWarp,
                        TileForward<Gpu, T, W>::bytes(warps), t);
  });
}

template bool launch_tile_forward(const Task<bf16>&);
template bool launch_tile_forward(const Task<f16>&);

}  // namespace tenet::cuda::attention
