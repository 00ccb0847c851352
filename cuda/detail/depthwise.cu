#include <tenet/cuda/detail/depthwise.h>
#include <tenet/cuda/detail/depthwise_task.h>
#include <tenet/cuda/detail/runtime.h>

namespace tenet::cuda {
namespace {

using tenet::detail::ConvSizes;

template <class Task>
__global__ void __launch_bounds__(256) run_each(Task task) {
  task.run(blockIdx.x, static_cast<int>(threadIdx.x));
}

template <class T>
__global__ void __launch_bounds__(256) add_weight(DepthwiseWeightTask<T> task) {
  __shared__ typename DepthwiseWeightTask<T>::Shared shared;
  const int thread = static_cast<int>(threadIdx.x);
  task.add(shared, blockIdx.x, thread);
  for (int half = task.threads / 2; half > 0; half /= 2) {
    __syncthreads();
    task.fold(shared, half, thread);
  }
  task.finish(shared, blockIdx.x, thread);
}

int64_t blocks_for(int64_t count) { return (count + 255) / 256; }

}  // namespace

void depthwise_output(const ConvSizes& s, const View& y, const View& x, const View& w,
                      const View& bias) {
  dispatch(FloatTypes(), y.dtype, "conv2d", [&]<class T>() {
    using Task = DepthwiseOutputTask<T>;
    const int64_t channels = s.groups * s.outputs, blocks = blocks_for(s.windows);
    const Task task{.x = x.as<const T>(),
                    .w = w.as<const T>(),
                    .bias = bias.as<const T>(),
                    .y = y.as<T>(),
                    .taps = Taps(s.window),
                    .by_outputs = Quotient(std::max<int64_t>(s.outputs, 1)),
                    .planes_out = channels,
                    .blocks = blocks,
                    .windows = s.windows};
    launch("conv2d", &run_each<Task>, blocks_of(s.images * channels * blocks, "conv2d"), 256, 0,
           task);
  });
}

void depthwise_input(const ConvSizes& s, const View& dx, const View& dy, const View& w) {
  dispatch(FloatTypes(), dx.dtype, "conv2d", [&]<class T>() {
    using Task = DepthwiseInputTask<T>;
    const int64_t blocks = blocks_for(s.window.plane());
    const Task task{.dy = dy.as<const T>(),
                    .w = w.as<const T>(),
                    .dx = dx.as<T>(),
                    .taps = Taps(s.window),
                    .groups = s.groups,
                    .outputs = s.outputs,
                    .windows = s.windows,
                    .blocks = blocks};
    launch("conv2d_input", &run_each<Task>, blocks_of(s.images * s.groups * blocks, "conv2d_input"),
           256, 0, task);
  });
}

void depthwise_weight(const ConvSizes& s, const View& dw, const View& dy, const View& x) {
  dispatch(FloatTypes(), dw.dtype, "conv2d", [&]<class T>() {
    const DepthwiseWeightTask<T> task{.dy = dy.as<const T>(),
                                      .x = x.as<const T>(),
                                      .dw = dw.as<T>(),
                                      .taps = Taps(s.window),
                                      .by_outputs = Quotient(std::max<int64_t>(s.outputs, 1)),
                                      .planes_out = s.groups * s.outputs,
                                      .planes_in = s.groups,
                                      .images = s.images,
                                      .windows = s.windows};
    launch("conv2d_weight", &add_weight<T>,
           blocks_of(s.groups * s.outputs * s.taps, "conv2d_weight"), 256, 0, task);
  });
}

}  // namespace tenet::cuda
