/// y[i] = f(x[i], ...) over strided operands of any types on the GPU.
#pragma once

#include <tenet/cuda/detail/map_task.h>
#include <tenet/cuda/detail/runtime.h>

#include <array>
#include <cstdint>

namespace tenet::cuda {

inline constexpr int kMapThreads = 256;

template <class Task>
__global__ void __launch_bounds__(kMapThreads) run_map(const __grid_constant__ Task task) {
  task.run(int64_t{blockIdx.x} * blockDim.x + threadIdx.x, int64_t{gridDim.x} * blockDim.x);
}

/// y[i] = f(x[i], ...) with y of type Y and the x of types X, all of y's shape; f takes and gives
/// Compute values. y may be one of the x.
template <class Y, class... X, class F>
void map(const char* name, const View& y, const std::array<View, sizeof...(X)>& x, const F& f) {
  constexpr size_t inputs = sizeof...(X);
  std::array<View, 1 + inputs> all{y};
  std::copy(x.begin(), x.end(), all.begin() + 1);
  const Indexing<1 + inputs> index(y.shape, all);
  const int64_t count = y.numel();
  bool contiguous = index.dim <= 1 && (index.dim == 0 || index.stride[0][0] == 1);
  ContiguousMap<F, Y, X...> task{.f = f, .y = y.as<Y>(), .count = count};
  constexpr std::array<size_t, 1 + inputs> sizes{sizeof(Y), sizeof(X)...};
  uintptr_t misaligned = reinterpret_cast<uintptr_t>(y.data) % (sizeof(Y) * task.width);
  for (size_t i = 0; i < inputs; ++i) {
    task.x[i] = x[i].data;
    task.repeats[i] = index.repeats(static_cast<int>(i) + 1);
    contiguous = contiguous && (task.repeats[i] || index.stride[i + 1][0] == 1);
    if (!task.repeats[i]) {
      misaligned |= reinterpret_cast<uintptr_t>(x[i].data) % (sizes[i + 1] * task.width);
    }
  }
  if (contiguous) {
    task.aligned = misaligned == 0;
    const unsigned grid = grid_for(count, int64_t{kMapThreads} * (task.aligned ? task.width : 1));
    return launch(name, &run_map<ContiguousMap<F, Y, X...>>, grid, kMapThreads, 0, task);
  }
  StridedMap<F, Y, X...> strided{.f = f, .y = y.as<Y>(), .index = index, .count = count};
  for (size_t i = 0; i < inputs; ++i) strided.x[i] = x[i].data;
  launch(name, &run_map<StridedMap<F, Y, X...>>, grid_for(count, kMapThreads), kMapThreads, 0,
         strided);
}

}  // namespace tenet::cuda
