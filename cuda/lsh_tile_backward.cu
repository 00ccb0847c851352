/// The gradients of LSH attention of 16-bit types on tensor cores.
#include <tenet/cuda/detail/lsh_launch.h>
#include <tenet/cuda/detail/lsh_tile_backward_task.h>

namespace tenet::cuda::lsh {
namespace {

template <class T, int W>
__global__ void __launch_bounds__(kWarps* kWarp, W > 32 ? 2 : 3)
    backward(__grid_constant__ const Task<T> t) {
  tile_backward<Gpu, T, W>(t, shared_memory<char>());
}

}  // namespace

template <class T>
void launch_tile_backward(Task<T> t) {
  const char* const name = "lsh_attention_backward";
  dispatch_width(t.size, [&]<int W>() {
    t.grid = std::min<int64_t>(t.heads * t.L, int64_t{tenet::cuda::facts().multiprocessors} * 3);
    launch(name, &backward<T, W>, blocks_of(t.grid, name), kWarps * kWarp,
           TileGradient<Gpu, T, W>::bytes(), t);
  });
}

template void launch_tile_backward(Task<bf16>);
template void launch_tile_backward(Task<f16>);

}  // namespace tenet::cuda::lsh
