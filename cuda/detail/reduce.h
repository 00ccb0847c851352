/// Launching reductions.
#pragma once

#include <tenet/cuda/detail/reduce_task.h>
#include <tenet/cuda/detail/task.h>

namespace tenet::cuda {

/// y[output] = the reduction `make(output)` of that output's elements of x, rounded to Out.
template <class F, class Out, class T, class Make = Alike<F>>
void reduce_into(const char* name, const View& y, const View& x, const Make& make = {}) {
  const ReduceSizes sizes(y, x);
  if (sizes.outputs == 0) return;
  if (sizes.few()) {
    launch_strided(name, ReduceFewTask<F, Make, Out, T>{sizes, x.as<const T>(), y.as<Out>(), make},
                   sizes.outputs);
    return;
  }
  using Task = ReduceTask<F, Make, Out, T>;
  const Workspace<typename F::Lane> parts(sizes.blocks == 1 ? 0 : sizes.outputs * sizes.blocks);
  const Task task{sizes, x.as<const T>(), y.as<Out>(), sizes.blocks == 1 ? nullptr : parts.data(),
                  make};
  launch_task(name, task, task.grid(), Task::most_threads, Task::shared_bytes);
  if (sizes.blocks == 1) return;
  using Join = JoinTask<F, Make, Out>;
  const Join join{sizes, parts.data(), y.as<Out>(), make, sizes.outputs < 32 ? 1 : 32};
  launch_task(name, join, join.grid(), Join::most_threads, Join::shared_bytes);
}

/// A contiguous array for the results of a first pass: y's shape, elements of T.
template <class T>
View like(const View& y, T* data) {
  return {data, dtype_of<T>, y.device, y.shape, contiguous_strides(y.shape)};
}

}  // namespace tenet::cuda
