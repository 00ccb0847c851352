/// Walking the lines along the last axis of several strided operands in step.
#pragma once

#include <tenet/ops/detail/loop.h>

namespace tenet::detail {

/// Calls line(number, offsets) for each line along the last axis; operand i's line starts at
/// element offsets[i]. The operands agree in the other axes. `work` is what a line costs, in
/// elements. Parallel; `line` must not throw.
template <size_t N, class Line>
void for_each_line(const std::array<View, N>& operands, int64_t work, Line&& line) {
  Shape rows = operands[0].shape;
  const int last = rows.dim() - 1;
  rows.erase(last);
  const LoopPlan<N> plan(rows, operands);
  const int64_t grain = parallel_grain / std::max<int64_t>(work, 1) + 1;
  parallel_for(rows.numel(), grain, [&](int64_t begin, int64_t end) {
    for (int64_t number = begin; number < end; ++number) {
      std::array<int64_t, N> offsets{};
      int64_t rest = number;
      for (int axis = plan.shape.dim() - 1; axis >= 0; --axis) {
        const int64_t index = axis == 0 ? rest : rest % plan.shape[axis];
        rest /= plan.shape[axis];
        for (size_t i = 0; i < N; ++i) offsets[i] += index * plan.strides[i][axis];
      }
      line(number, offsets);
    }
  });
}

}  // namespace tenet::detail
