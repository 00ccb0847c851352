/// Batch normalisation on the GPU: sums of cells, then of channels, then one pass over x. See Note
/// [Sums of channels].
#include <tenet/cuda/detail/batch_norm_task.h>
#include <tenet/cuda/detail/runtime.h>
#include <tenet/ops/batch_norm.h>

namespace tenet::cuda {
namespace {

using tenet::detail::BatchNormBackward;
using tenet::detail::ChannelNorm;

template <class Task>
__global__ void __launch_bounds__(Task::threads) add_cells(Task task) {
  __shared__ typename Task::Shared shared;
  const int thread = static_cast<int>(threadIdx.x);
  task.add(shared, blockIdx.x, thread);
  for (int half = Task::first_half; half >= Task::last_half; half /= 2) {
    __syncthreads();
    task.fold(shared, half, thread);
  }
  __syncthreads();
  task.finish(shared, blockIdx.x, thread);
}

template <class Task>
__global__ void __launch_bounds__(256) map_elements(Task task, int64_t count) {
  for (int64_t i = blockIdx.x * int64_t{256} + threadIdx.x; i < count;
       i += int64_t{gridDim.x} * 256) {
    task.run(i);
  }
}

/// mean, r, weight and bias of each channel, side by side.
template <class T>
__global__ void __launch_bounds__(256)
    fill_table(Compute<T>* table, const Compute<T>* mean, const Compute<T>* variance,
               const T* weight, const T* bias, int64_t channels, double epsilon) {
  using C = Compute<T>;
  const int64_t c = blockIdx.x * int64_t{256} + threadIdx.x;
  if (c >= channels) return;
  table[4 * c] = mean[c];
  table[4 * c + 1] = static_cast<C>(1 / sqrt(static_cast<double>(variance[c]) + epsilon));
  table[4 * c + 2] = channel_parameter(weight, c, C(1));
  table[4 * c + 3] = channel_parameter(bias, c, C(0));
}

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

ChannelSizes sizes_of(const View& x) { return {x.shape[0], x.shape[1], x.shape[2]}; }

/// Whether planes of all operands can be read 16 bytes at a time.
bool in_vectors(std::initializer_list<View> operands) {
  return std::all_of(operands.begin(), operands.end(), [](const View& v) {
    return v.shape[2] * itemsize(v.dtype) % 16 == 0 &&
           reinterpret_cast<uintptr_t>(v.data) % 16 == 0;
  });
}

/// Sums by `op` of every channel of x, handed to `end`.
template <class Op, class End>
void sum_channels(const char* name, const Op& op, const ChannelSizes& sizes, bool vectors,
                  const End& end) {
  constexpr int wide = 16 / static_cast<int>(sizeof(typename Op::Element));
  constexpr int64_t short_plane = 32;
  const auto run = [&](auto task, int64_t blocks, int64_t cells) {
    using Task = decltype(task);
    const Workspace<double> space(Op::sums * cells);
    ChannelTotalsTask<Op::sums, End> totals{{}, task.places(), end};
    for (int k = 0; k < Op::sums; ++k) {
      task.cells[k] = space.data() + k * cells;
      totals.cells[k] = task.cells[k];
    }
    launch(name, &add_cells<Task>, blocks_of(blocks, name), Task::threads, 0, task);
    launch(name, &add_cells<decltype(totals)>, blocks_of(sizes.channels, name),
           decltype(totals)::threads, 0, totals);
  };
  if (sizes.elements < short_plane) {
    using Task = ColumnCellsTask<Op>;
    const int64_t columns = sizes.channels * sizes.elements;
    const int64_t blocks = ceil_div(columns, Task::across);
    const int64_t each = ceil_div(sizes.images, Task::length);
    return run(Task{op, sizes, {}, blocks, each}, blocks * each, columns * each);
  }
  const int64_t each = ceil_div(sizes.count(), PlaneCellsTask<Op, 1>::length);
  const int64_t cells = sizes.channels * each;
  vectors ? run(PlaneCellsTask<Op, wide>{op, sizes, {}, each}, cells, cells)
          : run(PlaneCellsTask<Op, 1>{op, sizes, {}, each}, cells, cells);
}

/// Task<T, V> over all elements.
template <template <class, int> class Task, class T, class Make>
void map(const char* name, const View& x, bool vectors, const Make& make) {
  constexpr int wide = 16 / static_cast<int>(sizeof(T));
  const auto run = [&](auto task, int64_t count) {
    launch(name, &map_elements<decltype(task)>, grid_for(count, 256), 256, 0, task, count);
  };
  vectors ? run(make.template operator()<Task<T, wide>>(), x.numel() / wide)
          : run(make.template operator()<Task<T, 1>>(), x.numel());
}

void channel_statistics_cuda(View mean, View variance, View x) {
  dispatch(FloatTypes(), x.dtype, "batch_norm", [&]<class T>() {
    using C = Compute<T>;
    const ChannelSizes sizes = sizes_of(x);
    const auto count = static_cast<double>(sizes.count());
    const bool vectors = in_vectors({x});
    sum_channels("batch_norm", ChannelSum<T>{x.as<const T>()}, sizes, vectors,
                 WriteMean<C>{mean.as<C>(), count});
    sum_channels("batch_norm", ChannelSquares<T>{x.as<const T>(), mean.as<const C>()}, sizes,
                 vectors, WriteMean<C>{variance.as<C>(), count});
  });
}

void channel_norm_cuda(const ChannelNorm& a) {
  dispatch(FloatTypes(), a.x.dtype, "batch_norm", [&]<class T>() {
    using C = Compute<T>;
    const ChannelSizes sizes = sizes_of(a.x);
    const Workspace<C> table(4 * sizes.channels);
    launch("batch_norm", &fill_table<T>, blocks_of(ceil_div(sizes.channels, 256), "batch_norm"),
           256, 0, table.data(), a.mean.as<const C>(), a.variance.as<const C>(),
           a.weight.as<const T>(), a.bias.as<const T>(), sizes.channels, a.epsilon);
    map<ChannelNormTask, T>("batch_norm", a.x, in_vectors({a.x, a.y}), [&]<class Task>() {
      return Task{a.x.as<const T>(), a.y.as<T>(), table.data(), sizes};
    });
  });
}

void batch_norm_backward_cuda(const BatchNormBackward& a) {
  constexpr const char* name = "batch_norm_backward";
  dispatch(FloatTypes(), a.x.dtype, name, [&]<class T>() {
    using C = Compute<T>;
    const ChannelSizes sizes = sizes_of(a.x);
    const Workspace<ChannelSlope> slope(sizes.channels);
    const ChannelGradients<T> op{a.x.as<const T>(), a.dy.as<const T>(), a.mean.as<const C>(),
                                 a.variance.as<const C>(), a.epsilon};
    sum_channels(name, op, sizes, in_vectors({a.x, a.dy}),
                 WriteSlope<T>{op, a.weight.as<const T>(), a.dweight.as<T>(), a.dbias.as<T>(),
                               slope.data(), static_cast<double>(sizes.count())});
    if (a.dx.data == nullptr) return;
    map<ChannelNormBackwardTask, T>(name, a.x, in_vectors({a.x, a.dy, a.dx}), [&]<class Task>() {
      return Task{a.x.as<const T>(), a.dy.as<const T>(), a.dx.as<T>(), slope.data(), sizes};
    });
  });
}

constexpr auto gpu = Device::Kind::cuda;
const bool filled = tenet::detail::channel_statistics_kernel.fill(gpu, &channel_statistics_cuda) &&
                    tenet::detail::channel_norm_kernel.fill(gpu, &channel_norm_cuda) &&
                    tenet::detail::batch_norm_backward_kernel.fill(gpu, &batch_norm_backward_cuda);

}  // namespace
}  // namespace tenet::cuda
