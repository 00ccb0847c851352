/// Runs kernels of the GPU block by block and thread by thread.
#pragma once

#include <cstdint>
#include <random>
#include <type_traits>
#include <vector>

namespace cuda_test {

/// Every thread of every block calls task.run(block, thread).
template <class Task>
void run_blocks(const Task& task, int64_t blocks, int threads) {
  for (int64_t block = 0; block < blocks; ++block) {
    for (int thread = 0; thread < threads; ++thread) task.run(block, thread);
  }
}

/// add(), then fold() with halves from `first_half` down to `last_half`, then finish().
template <class Task>
void run_folds(const Task& task, int64_t blocks, int first_half, int last_half) {
  for (int64_t block = 0; block < blocks; ++block) {
    typename Task::Shared shared;
    for (int thread = 0; thread < Task::threads; ++thread) task.add(shared, block, thread);
    for (int half = first_half; half >= last_half; half /= 2) {
      for (int thread = 0; thread < Task::threads; ++thread) task.fold(shared, half, thread);
    }
    for (int thread = 0; thread < Task::threads; ++thread) task.finish(shared, block, thread);
  }
}

/// Numbers of [-1, 1), or -9 to 9 for integers (0 to 18 without a sign).
template <class T>
std::vector<T> numbers(int64_t count, std::mt19937& random) {
  std::vector<T> x(static_cast<size_t>(count));
  for (T& value : x) {
    if constexpr (std::is_integral_v<T>) {
      const int number = static_cast<int>(random() % 19);
      value = static_cast<T>(std::is_same_v<T, uint8_t> ? number : number - 9);
    } else {
      value = T(static_cast<float>(random()) * 0x1p-31f - 1);
    }
  }
  return x;
}

}  // namespace cuda_test
