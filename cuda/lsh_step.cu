/// One new position of LSH attention on the GPU.
#include <tenet/cuda/detail/lsh_general_task.h>
#include <tenet/cuda/detail/lsh_launch.h>

namespace tenet::cuda {
namespace {

using namespace lsh;

constexpr const char* kName = "lsh_attention";

template <class T>
__global__ void __launch_bounds__(kWarps* kWarp) facts_of(__grid_constant__ const StepTask<T> t) {
  step_facts<Gpu>(t);
}
template <class T>
__global__ void __launch_bounds__(kWarp) general(__grid_constant__ const StepTask<T> t) {
  general_step<Gpu>(t, shared_memory<Compute<T>>());
}

template <class T>
void step_as(const tenet::detail::LshStep& a) {
  StepTask<T> t;
  t.heads = a.q.shape[0] * a.q.shape[1], t.H = a.q.shape[1];
  t.R = a.seen.shape[2], t.room = a.seen.shape[3];
  t.size = static_cast<int>(a.q.shape[3]);
  t.scale = static_cast<Compute<T>>(a.plan.scale);
  t.q = head_rows<const T>(a.q), t.own = head_rows<const T>(a.own);
  t.k = head_rows<const T>(a.k), t.v = head_rows<const T>(a.v);
  t.y = head_rows<T>(a.y);
  t.seen = a.seen.as<const int32_t>();
  t.aligned = rows_aligned<T>({a.q, a.k, a.v, a.y});
  const int64_t entries = t.heads * t.R * t.room;
  const Workspace<Compute<T>> factor(entries);
  const Workspace<uint8_t> finite(entries);
  t.factor = factor.data(), t.finite = finite.data();
  launch(kName, &facts_of<T>, blocks_for(entries, kName), kWarps * kWarp, 0, t);
  if constexpr (is_half<T>) {
    if (by_tiles<T>(t.size)) return launch_tile_step(t);
  }
  launch(kName, &general<T>, blocks_of(t.heads, kName), kWarp,
         row_bytes<T>(forward_rows, t.size) / kWarps, t);
}

void lsh_step_cuda(const tenet::detail::LshStep& a) {
  dispatch(FloatTypes{}, a.q.dtype, kName, [&]<class T>() { step_as<T>(a); });
}

const bool filled = tenet::detail::lsh_step_kernel.fill(Device::Kind::cuda, &lsh_step_cuda);

}  // namespace
}  // namespace tenet::cuda
