/// LSH attention of 16-bit types on tensor cores, and its step.
#include <tenet/cuda/detail/lsh_launch.h>
#include <tenet/cuda/detail/lsh_tile_forward_task.h>

namespace tenet::cuda::lsh {
namespace {

constexpr const char* kName = "lsh_attention";

template <class T, int W>
__global__ void __launch_bounds__(kWarps* kWarp, W > 64 ? 2 : 3)
    forward(__grid_constant__ const Task<T> t) {
  tile_forward<Gpu, T, W>(t, shared_memory<char>());
}
template <class T>
__global__ void __launch_bounds__(kWarps* kWarp) facts_of(__grid_constant__ const StepTask<T> t) {
  step_facts<Gpu>(t);
}
template <class T, int W>
__global__ void __launch_bounds__(kWarp) step(__grid_constant__ const StepTask<T> t) {
  tile_step<Gpu, T, W>(t, shared_memory<char>());
}

}  // namespace

template <class T>
void launch_tile_forward(Task<T> t) {
  dispatch_width(t.size, [&]<int W>() {
    t.grid = std::min<int64_t>(t.heads * t.L, int64_t{tenet::cuda::facts().multiprocessors} * 4);
    launch(kName, &forward<T, W>, blocks_of(t.grid, kName), kWarps * kWarp,
           TileSoftmax<Gpu, T, W>::bytes(kWarps), t);
  });
}

template <class T>
void launch_tile_step(StepTask<T> t) {
  dispatch_width(t.size, [&]<int W>() {
    launch(kName, &step<T, W>, blocks_of(t.heads, kName), kWarp, TileSoftmax<Gpu, T, W>::bytes(1),
           t);
  });
}

template void launch_tile_forward(Task<bf16>);
template void launch_tile_forward(Task<f16>);
template void launch_tile_step(StepTask<bf16>);
template void launch_tile_step(StepTask<f16>);

}  // namespace tenet::cuda::lsh
