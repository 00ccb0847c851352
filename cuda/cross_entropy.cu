#include <tenet/cuda/detail/cross_entropy_task.h>
#include <tenet/cuda/detail/task.h>
#include <tenet/ops/cross_entropy.h>

namespace tenet::cuda {
namespace {

using namespace tenet::detail;

void cross_entropy_cuda(View loss, View lse, View logits, View targets, int64_t ignore_index) {
  dispatch(FloatTypes(), logits.dtype, "cross_entropy", [&]<class T>() {
    using C = Compute<T>;
    const CrossEntropyTask<T> task{RowPlan::of<C>(logits.shape[0], logits.shape[1]),
                                   loss.as<C>(),
                                   lse.as<C>(),
                                   logits.as<const T>(),
                                   targets.as<const int64_t>(),
                                   ignore_index};
    launch_task("cross_entropy", task, task.plan.blocks(), task.plan.threads(),
                task.plan.template shared_bytes<C>());
  });
}

void cross_entropy_backward_cuda(View dlogits, View logits, View lse, View targets, View dloss,
                                 int64_t ignore_index) {
  dispatch(FloatTypes(), logits.dtype, "cross_entropy", [&]<class T>() {
    using C = Compute<T>;
    const CrossEntropyBackwardTask<T> task{RowPlan::uncached(logits.shape[0], logits.shape[1]),
                                           dlogits.as<T>(),
                                           logits.as<const T>(),
                                           lse.as<const C>(),
                                           targets.as<const int64_t>(),
                                           dloss.as<const C>(),
                                           dloss.data ? dloss.strides[0] : 0,
                                           ignore_index};
    launch_task("cross_entropy_backward", task, task.plan.blocks(), task.plan.threads(),
                task.plan.template shared_bytes<C>());
  });
}

const bool filled =
    cross_entropy_kernel.fill(Device::Kind::cuda, &cross_entropy_cuda) &&
    cross_entropy_backward_kernel.fill(Device::Kind::cuda, &cross_entropy_backward_cuda);

}  // namespace
}  // namespace tenet::cuda
