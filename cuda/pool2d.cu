#include <tenet/cuda/detail/pool2d_task.h>
#include <tenet/cuda/detail/task.h>
#include <tenet/ops/pool2d.h>

namespace tenet::cuda {
namespace {

using namespace tenet::detail;

int64_t plane_count(const View& v) { return v.shape[0] * v.shape[1]; }
int64_t plane_size(const View& v) { return v.shape[2] * v.shape[3]; }

void max_pool2d_cuda(View y, View index, View x, const Window& w) {
  dispatch(FloatTypes(), x.dtype, "max_pool2d", [&]<class T>() {
    launch_strided("max_pool2d",
                   MaxPoolTask<T>{PoolPlan(plane_count(x), w), y.as<T>(), index.as<int32_t>(),
                                  x.as<const T>()},
                   y.numel());
  });
}

void pick_cuda(View y, View x, View index) {
  dispatch(FloatTypes(), x.dtype, "max_pool2d", [&]<class T>() {
    launch_strided("max_pool2d_pick",
                   PickTask<T>{y.numel(), plane_size(y), plane_size(x), y.as<T>(), x.as<const T>(),
                               index.as<const int32_t>()},
                   y.numel());
  });
}

void unpick_cuda(View x, View y, View index) {
  if (x.numel() == 0) return;
  const Workspace<int32_t> head(x.numel()), next(y.numel());
  check(cudaMemsetAsync(head.data(), 0xff, static_cast<size_t>(head.bytes()), stream()),
        "max_pool2d_unpick");
  launch_strided("max_pool2d_unpick",
                 LinkTask{y.numel(), plane_size(y), plane_size(x), index.as<const int32_t>(),
                          head.data(), next.data()},
                 y.numel());
  dispatch(FloatTypes(), x.dtype, "max_pool2d", [&]<class T>() {
    launch_strided("max_pool2d_unpick",
                   UnpickTask<T>{x.numel(), plane_size(y), plane_size(x), head.data(), next.data(),
                                 x.as<T>(), y.as<const T>()},
                   x.numel());
  });
}

void avg_pool2d_cuda(View y, View x, const Window& w, bool count_padding) {
  dispatch(FloatTypes(), x.dtype, "avg_pool2d", [&]<class T>() {
    launch_strided(
        "avg_pool2d",
        AvgPoolTask<T>{PoolPlan(plane_count(x), w), count_padding, y.as<T>(), x.as<const T>()},
        y.numel());
  });
}

void avg_unpool2d_cuda(View x, View y, const Window& w, bool count_padding) {
  dispatch(FloatTypes(), x.dtype, "avg_pool2d", [&]<class T>() {
    launch_strided(
        "avg_unpool2d",
        AvgUnpoolTask<T>{PoolPlan(plane_count(x), w), count_padding, x.as<T>(), y.as<const T>()},
        x.numel());
  });
}

constexpr auto cuda = Device::Kind::cuda;
const bool filled = max_pool2d_kernel.fill(cuda, &max_pool2d_cuda) &&
                    pick_kernel.fill(cuda, &pick_cuda) && unpick_kernel.fill(cuda, &unpick_cuda) &&
                    avg_pool2d_kernel.fill(cuda, &avg_pool2d_cuda) &&
                    avg_unpool2d_kernel.fill(cuda, &avg_unpool2d_cuda);

}  // namespace
}  // namespace tenet::cuda
