#include <tenet/cuda/detail/layer_norm_task.h>
#include <tenet/cuda/detail/task.h>
#include <tenet/ops/layer_norm.h>

namespace tenet::cuda {
namespace {

using namespace tenet::detail;

template <class T>
void forward(const LayerNormForward& a) {
  using C = Compute<T>;
  const LayerNormTask<T> task{RowPlan::of<C>(a.mean.numel(), a.x.shape.back()),
                              a.y.as<T>(),
                              a.mean.as<C>(),
                              a.rstd.as<C>(),
                              a.x.as<const T>(),
                              a.weight.as<const T>(),
                              a.bias.as<const T>(),
                              a.eps};
  launch_task("layer_norm", task, task.plan.blocks(), task.plan.threads(),
              task.plan.template shared_bytes<C>());
}

template <class T>
void input_gradient(const LayerNormBackward& a) {
  using C = Compute<T>;
  const LayerNormBackwardTask<T> task{RowPlan::of<C>(a.mean.numel(), a.x.shape.back(), 2),
                                      a.dx.as<T>(),
                                      a.dy.as<const T>(),
                                      a.x.as<const T>(),
                                      a.mean.as<const C>(),
                                      a.rstd.as<const C>(),
                                      a.weight.as<const T>()};
  launch_task("layer_norm_backward", task, task.plan.blocks(), task.plan.threads(),
              task.plan.template shared_bytes<C>());
}

template <class T>
void parameter_gradients(const LayerNormBackward& a) {
  using C = Compute<T>;
  const int64_t rows = a.mean.numel(), size = a.x.shape.back();
  const int64_t count = (rows + kNormShare - 1) / kNormShare;
  const Workspace<C> dw(a.dweight.data ? count * size : 0), db(a.dbias.data ? count * size : 0);
  const LayerNormSharesTask<T> task{rows,
                                    size,
                                    a.dweight.data ? dw.data() : nullptr,
                                    a.dbias.data ? db.data() : nullptr,
                                    a.dy.as<const T>(),
                                    a.x.as<const T>(),
                                    a.mean.as<const C>(),
                                    a.rstd.as<const C>()};
  launch_task("layer_norm_backward", task, task.grid(), task.most_threads);
  const auto add = [&](const View& to, const C* shares) {
    if (!to.data) return;
    const AddSharesTask<T> sum{count, size, to.as<T>(), shares};
    launch_task("layer_norm_backward", sum, sum.grid(), sum.most_threads, sum.shared_bytes);
  };
  add(a.dweight, dw.data());
  add(a.dbias, db.data());
}

void layer_norm_cuda(const LayerNormForward& a) {
  dispatch(FloatTypes(), a.x.dtype, "layer_norm", [&]<class T>() { forward<T>(a); });
}

void layer_norm_backward_cuda(const LayerNormBackward& a) {
  dispatch(FloatTypes(), a.x.dtype, "layer_norm", [&]<class T>() {
    if (a.dx.data) input_gradient<T>(a);
    if (a.dweight.data || a.dbias.data) parameter_gradients<T>(a);
  });
}

const bool filled = layer_norm_kernel.fill(Device::Kind::cuda, &layer_norm_cuda) &&
                    layer_norm_backward_kernel.fill(Device::Kind::cuda, &layer_norm_backward_cuda);

}  // namespace
}  // namespace tenet::cuda
