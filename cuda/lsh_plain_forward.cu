/// LSH attention of f32 and f64, in tiles.
#include <tenet/cuda/detail/lsh_launch.h>
#include <tenet/cuda/detail/lsh_plain_forward_task.h>

namespace tenet::cuda::lsh {
namespace {

template <class T, int W>
__global__ void __launch_bounds__(plain_threads, sizeof(T) == 8 ? 2
                                                 : W > 64       ? 3
                                                                : 4)
    forward(__grid_constant__ const Task<T> t) {
  plain_forward<Gpu, T, W>(t, shared_memory<T>());
}

template <class T, int W>
void launch_width(Task<T> t) {
  t.grid = std::min<int64_t>(t.heads * t.L, int64_t{tenet::cuda::facts().multiprocessors} * 4);
  launch("lsh_attention", &forward<T, W>, blocks_of(t.grid, "lsh_attention"), plain_threads,
         PlainForward<Gpu, T, W>::bytes(), t);
}

}  // namespace

template <>
void launch_tile_forward(Task<float> t) {
  t.size <= 64 ? launch_width<float, 64>(t) : launch_width<float, 128>(t);
}
template <>
void launch_tile_forward(Task<double> t) {
  launch_width<double, 64>(t);
}

}  // namespace tenet::cuda::lsh
