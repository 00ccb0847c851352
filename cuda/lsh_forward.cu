/// LSH attention on the GPU.
#include <tenet/cuda/detail/lsh_general_task.h>
#include <tenet/cuda/detail/lsh_launch.h>

namespace tenet::cuda {
namespace {

using namespace lsh;

constexpr const char* kName = "lsh_attention";

template <class T>
__global__ void __launch_bounds__(kWarps* kWarp) prepare(__grid_constant__ const Task<T> t) {
  prepare_forward<Gpu>(t);
}
template <class T>
__global__ void __launch_bounds__(kWarps* kWarp) general(__grid_constant__ const Task<T> t) {
  general_forward<Gpu>(t, shared_memory<Compute<T>>());
}

template <class T>
void forward_as(const tenet::detail::LshForward& a) {
  Task<T> call = task_of<T>(a.qk, a.v, a.order, a.mask, a.log_sum, a.plan);
  call.out = head_rows<T>(a.y);
  call.aligned = rows_aligned<T>({a.qk, a.v, a.y});
  const bool tiles = by_tiles<T>(call.size);
  Groups<T> groups(a.qk, call.R, tiles, 1, 1);
  const auto complete = [&](Task<T> t) {
    t.sum = groups.number(2);
    t.y_sums = groups.sums(0, t.out, t);
    return t;
  };
  groups.walk(
      call,
      [&](const Task<T>& t) {
        launch(kName, &prepare<T>, blocks_for(t.heads * t.L, kName), kWarps * kWarp, 0,
               complete(t));
      },
      [&](const Task<T>& t) {
        if (tiles) return launch_tile_forward(complete(t));
        launch(kName, &general<T>, blocks_for(t.heads * t.L, kName), kWarps * kWarp,
               row_bytes<T>(forward_rows, t.size), complete(t));
      });
}

void lsh_forward_cuda(const tenet::detail::LshForward& a) {
  if (a.qk.numel() == 0) return;
  dispatch(FloatTypes{}, a.qk.dtype, kName, [&]<class T>() { forward_as<T>(a); });
}

const bool filled = tenet::detail::lsh_attention_kernel.fill(Device::Kind::cuda, &lsh_forward_cuda);

}  // namespace
}  // namespace tenet::cuda
