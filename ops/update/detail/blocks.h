/// Cutting the tensors of a model into blocks of work.
#pragma once

#include <tenet/core/dtype.h>
#include <tenet/core/parallel.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace tenet::detail {

/// Elements [begin, end) of tensor `tensor`.
struct Block {
  size_t tensor = 0;
  int64_t begin = 0, end = 0;
};

inline constexpr int64_t block_elements = 16384;

/// Blocks of tensors of the given sizes, in order.
inline std::vector<Block> blocks_of(const std::vector<int64_t>& sizes) {
  std::vector<Block> blocks;
  for (size_t tensor = 0; tensor < sizes.size(); ++tensor) {
    for (int64_t begin = 0; begin < sizes[tensor]; begin += block_elements) {
      blocks.push_back({tensor, begin, std::min(begin + block_elements, sizes[tensor])});
    }
  }
  return blocks;
}

/// Calls fn(i) for 0 <= i < count in parallel. `fn` must not throw.
template <class F>
void parallel_each(size_t count, F&& fn) {
  parallel_for(static_cast<int64_t>(count), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) fn(static_cast<size_t>(i));
  });
}

/// Whether a step may change something.
template <class Step>
bool allowed(const Step& step) {
  return step.guard == nullptr || std::isfinite(*step.guard);
}

/// If the step is allowed, runs Update<T>::run(tensor, step, begin, end) on the blocks of all
/// tensors, T being the type of each tensor's w.
template <template <class> class Update, class TensorT, class Step>
void update_blocks(const std::vector<TensorT>& tensors, const Step& step, const char* op) {
  if (!allowed(step)) return;
  using Run = void (*)(const TensorT&, const Step&, int64_t, int64_t);
  std::vector<Run> runs;
  std::vector<int64_t> sizes;
  for (const TensorT& tensor : tensors) {
    dispatch(FloatTypes(), tensor.w.dtype, op, [&]<class T>() { runs.push_back(&Update<T>::run); });
    sizes.push_back(tensor.w.numel());
  }
  const std::vector<Block> blocks = blocks_of(sizes);
  parallel_each(blocks.size(), [&](size_t i) {
    const Block& block = blocks[i];
    runs[block.tensor](tensors[block.tensor], step, block.begin, block.end);
  });
}

}  // namespace tenet::detail
