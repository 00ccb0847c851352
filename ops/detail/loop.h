/// Walking several strided operands of one shape in step.
#pragma once

#include <tenet/core/parallel.h>
#include <tenet/core/view.h>

#include <algorithm>
#include <array>

/// Stands before a loop of which no step reads what another one writes.
#if defined(__clang__)
#define TENET_IVDEP
#else
#define TENET_IVDEP _Pragma("GCC ivdep")
#endif

namespace tenet::detail {

/// Elements below which a loop stays on one thread.
inline constexpr int64_t parallel_grain = 32768;

/// N operands of one shape with axes of size 1 dropped and axes that step alike merged.
template <size_t N>
struct LoopPlan {
  Shape shape;
  std::array<Strides, N> strides;

  explicit LoopPlan(const Shape& full, const std::array<View, N>& operands) {
    for (int axis = 0; axis < full.dim(); ++axis) {
      if (full[axis] != 1) append(full[axis], operands, axis);
    }
  }

 private:
  void append(int64_t size, const std::array<View, N>& operands, int axis) {
    const int last = shape.dim() - 1;
    bool merges = last >= 0;
    for (size_t i = 0; i < N && merges; ++i) {
      merges = strides[i][last] == operands[i].strides[axis] * size;
    }
    if (merges) {
      shape[last] *= size;
    } else {
      shape.push_back(size);
    }
    for (size_t i = 0; i < N; ++i) {
      if (merges) {
        strides[i][last] = operands[i].strides[axis];
      } else {
        strides[i].push_back(operands[i].strides[axis]);
      }
    }
  }
};

/// The place of one stretch of the last axis in each operand.
template <size_t N>
class Odometer {
 public:
  Odometer(const LoopPlan<N>& plan, int64_t row) : plan_(plan) {
    for (int axis = plan.shape.dim() - 2; axis >= 0; --axis) {
      index_[axis] = row % plan.shape[axis];
      row /= plan.shape[axis];
      for (size_t i = 0; i < N; ++i) offsets_[i] += index_[axis] * plan.strides[i][axis];
    }
  }

  const std::array<int64_t, N>& offsets() const { return offsets_; }
  void advance() {
    for (int axis = plan_.shape.dim() - 2; axis >= 0; --axis) {
      const int64_t size = plan_.shape[axis];
      const bool wraps = ++index_[axis] == size;
      for (size_t i = 0; i < N; ++i) {
        offsets_[i] += wraps ? (1 - size) * plan_.strides[i][axis] : plan_.strides[i][axis];
      }
      if (!wraps) return;
      index_[axis] = 0;
    }
  }

 private:
  const LoopPlan<N>& plan_;
  std::array<int64_t, N> offsets_{};
  std::array<int64_t, Shape::max_dim> index_{};
};

/// Calls row(n, offsets, strides) on stretches of the last axis that together cover every element
/// once: operand i's elements are at offsets[i] + k * strides[i], 0 <= k < n. Every operand has the
/// shape `full` (see broadcast_to()). Parallel; `row` must not throw.
template <size_t N, class Row>
void for_each_row(const Shape& full, const std::array<View, N>& operands, Row&& row,
                  int64_t grain = parallel_grain) {
  const LoopPlan<N> plan(full, operands);
  const int dim = plan.shape.dim();
  const int64_t length = dim == 0 ? 1 : plan.shape.back();
  std::array<int64_t, N> steps{};
  for (size_t i = 0; i < N && dim > 0; ++i) steps[i] = plan.strides[i].back();
  parallel_for(full.numel(), grain, [&](int64_t begin, int64_t end) {
    Odometer<N> place(plan, begin / length);
    int64_t column = begin % length;
    for (; begin < end; column = 0, place.advance()) {
      const int64_t n = std::min(length - column, end - begin);
      std::array<int64_t, N> offsets = place.offsets();
      for (size_t i = 0; i < N; ++i) offsets[i] += column * steps[i];
      row(n, offsets, steps);
      begin += n;
    }
  });
}

}  // namespace tenet::detail
