/// The gradients of LSH attention on the GPU.
#include <tenet/cuda/detail/lsh_general_task.h>
#include <tenet/cuda/detail/lsh_launch.h>

namespace tenet::cuda {
namespace {

using namespace lsh;

constexpr const char* kName = "lsh_attention_backward";

template <class T>
__global__ void __launch_bounds__(kWarps* kWarp) prepare(__grid_constant__ const Task<T> t) {
  prepare_backward<Gpu>(t);
}
template <class T>
__global__ void __launch_bounds__(kWarps* kWarp) general(__grid_constant__ const Task<T> t) {
  general_backward<Gpu>(t, shared_memory<Compute<T>>());
}

/// Whether the tiles fit into the GPU's shared memory.
template <class T>
bool fits(int64_t size) {
  const int64_t most = sizeof(T) == 8 || (!is_half<T> && size > 64) ? 136 * 1024 : 96 * 1024;
  return by_tiles<T>(size) && most <= tenet::cuda::facts().shared_bytes;
}

template <class T>
void backward_as(const tenet::detail::LshBackward& a) {
  Task<T> call = task_of<T>(a.qk, a.v, a.order, a.mask, a.log_sum, a.plan);
  call.y = head_rows<const T>(a.y), call.dy = head_rows<const T>(a.dy);
  call.dqk = head_rows<T>(a.dqk), call.dv = head_rows<T>(a.dv);
  call.aligned = rows_aligned<T>({a.qk, a.v, a.dy, a.dqk, a.dv});
  const bool tiles = fits<T>(call.size);
  Groups<T> groups(a.qk, call.R, tiles, 1, 2);
  const auto complete = [&](Task<T> t) {
    t.delta = groups.number(2);
    t.dqk_sums = groups.sums(0, t.dqk, t), t.dv_sums = groups.sums(1, t.dv, t);
    return t;
  };
  groups.walk(
      call,
      [&](const Task<T>& t) {
        launch(kName, &prepare<T>, blocks_for(t.heads * t.L, kName), kWarps * kWarp, 0,
               complete(t));
      },
      [&](const Task<T>& t) {
        if (tiles) return launch_tile_backward(complete(t));
        launch(kName, &general<T>, blocks_for(t.heads * t.L, kName), kWarps * kWarp,
               row_bytes<T>(backward_rows, t.size), complete(t));
      });
}

void lsh_backward_cuda(const tenet::detail::LshBackward& a) {
  if (a.qk.numel() == 0) return;
  dispatch(FloatTypes{}, a.qk.dtype, kName, [&]<class T>() { backward_as<T>(a); });
}

const bool filled =
    tenet::detail::lsh_attention_backward_kernel.fill(Device::Kind::cuda, &lsh_backward_cuda);

}  // namespace
}  // namespace tenet::cuda
