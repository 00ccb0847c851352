/// The gradients of LSH attention of f32 and f64, in tiles.
#include <tenet/cuda/detail/lsh_launch.h>
#include <tenet/cuda/detail/lsh_plain_backward_task.h>

namespace tenet::cuda::lsh {
namespace {

template <class T, int W>
__global__ void __launch_bounds__(plain_threads, sizeof(T) == 8 || W > 64 ? 1 : 3)
    backward(__grid_constant__ const Task<T> t) {
  plain_backward<Gpu, T, W>(t, shared_memory<T>());
}

template <class T, int W>
void launch_width(Task<T> t) {
  const char* const name = "lsh_attention_backward";
  t.grid = std::min<int64_t>(t.heads * t.L, int64_t{tenet::cuda::facts().multiprocessors} * 3);
  launch(name, &backward<T, W>, blocks_of(t.grid, name), plain_threads,
         PlainGradient<Gpu, T, W>::bytes(), t);
}

}  // namespace

template <>
void launch_tile_backward(Task<float> t) {
  t.size <= 64 ? launch_width<float, 64>(t) : launch_width<float, 128>(t);
}
template <>
void launch_tile_backward(Task<double> t) {
  launch_width<double, 64>(t);
}

}  // namespace tenet::cuda::lsh
