#include <tenet/cuda/detail/softmax_task.h>
#include <tenet/cuda/detail/task.h>
#include <tenet/ops/softmax.h>

namespace tenet::cuda {
namespace {

using namespace tenet::detail;

/// The shape of the rows along the last axis.
Shape rows_of(const View& v) {
  Shape rows = v.shape;
  rows.erase(rows.dim() - 1);
  return rows;
}

template <bool logarithm>
void forward_cuda(View y, View x) {
  dispatch(FloatTypes(), x.dtype, "softmax", [&]<class T>() {
    using Task = SoftmaxTask<T, logarithm>;
    const Shape rows = rows_of(y);
    const Task task{RowPlan::of<Compute<T>>(rows.numel(), x.shape.back()),
                    Indexing<2>(rows, {y, x}),
                    y.strides.back(),
                    x.strides.back(),
                    y.as<T>(),
                    x.as<const T>()};
    launch_task(logarithm ? "log_softmax" : "softmax", task, task.plan.blocks(),
                task.plan.threads(), task.plan.template shared_bytes<Compute<T>>());
  });
}

template <bool logarithm>
void backward_cuda(View dx, View y, View dy) {
  dispatch(FloatTypes(), y.dtype, "softmax", [&]<class T>() {
    using Task = SoftmaxBackwardTask<T, logarithm>;
    const Shape rows = rows_of(y);
    const Task task{RowPlan::of<Compute<T>>(rows.numel(), y.shape.back(), 2),
                    Indexing<3>(rows, {dx, y, dy}),
                    dx.strides.back(),
                    y.strides.back(),
                    dy.strides.back(),
                    dx.as<T>(),
                    y.as<const T>(),
                    dy.as<const T>()};
    launch_task(logarithm ? "log_softmax_backward" : "softmax_backward", task, task.plan.blocks(),
                task.plan.threads(), task.plan.template shared_bytes<Compute<T>>());
  });
}

constexpr auto cuda = Device::Kind::cuda;
const bool filled = softmax_kernel.fill(cuda, &forward_cuda<false>) &&
                    log_softmax_kernel.fill(cuda, &forward_cuda<true>) &&
                    softmax_backward_kernel.fill(cuda, &backward_cuda<false>) &&
                    log_softmax_backward_kernel.fill(cuda, &backward_cuda<true>);

}  // namespace
}  // namespace tenet::cuda
