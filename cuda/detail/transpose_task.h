/// Copies whose fastest axis differs between source and target: tiles pass through shared memory,
/// so that both are read and written along their own fastest axis.
#pragma once

#include <tenet/core/macros.h>
#include <tenet/core/view.h>
#include <tenet/ops/detail/loop.h>

#include <cstdint>
#include <optional>

namespace tenet::cuda {

template <class T>
struct TransposeTask {
  static constexpr int kTile = 32, kThreads = 256, kRowsAtOnce = kThreads / kTile;
  struct Shared {
    T tile[kTile][kTile + 1];  // one more column: no two rows begin in one bank
  };

  T* to = nullptr;
  const T* from = nullptr;
  int64_t rows = 0, columns = 0;  // `to` steps by 1 along columns, `from` along rows
  int64_t to_row = 0, from_column = 0;
  int others = 0;  // the axes around these two
  int64_t size[Shape::max_dim] = {}, to_stride[Shape::max_dim] = {},
          from_stride[Shape::max_dim] = {};
  int64_t matrices = 1;

  /// Nothing where a plain copy is as good.
  static std::optional<TransposeTask> of(const View& to, const View& from) {
    const tenet::detail::LoopPlan<2> plan(to.shape, {to, from});
    const int last = plan.shape.dim() - 1;
    if (last < 1 || plan.strides[0][last] != 1 || plan.strides[1][last] == 1) return {};
    int fast = -1;
    for (int axis = 0; axis < last; ++axis) {
      if (plan.strides[1][axis] == 1 && plan.shape[axis] >= 8) fast = axis;
    }
    if (fast < 0 || plan.shape[last] < 8) return {};
    TransposeTask task{.to = to.as<T>(),
                       .from = from.as<const T>(),
                       .rows = plan.shape[fast],
                       .columns = plan.shape[last],
                       .to_row = plan.strides[0][fast],
                       .from_column = plan.strides[1][last]};
    for (int axis = 0; axis < last; ++axis) {
      if (axis == fast) continue;
      task.size[task.others] = plan.shape[axis];
      task.to_stride[task.others] = plan.strides[0][axis];
      task.from_stride[task.others++] = plan.strides[1][axis];
      task.matrices *= plan.shape[axis];
    }
    return task;
  }

  TENET_HD int64_t tiles_across() const { return (columns + kTile - 1) / kTile; }
  TENET_HD int64_t tiles_down() const { return (rows + kTile - 1) / kTile; }
  int64_t blocks() const { return matrices * tiles_down() * tiles_across(); }

  TENET_HD void load(Shared& shared, int64_t block, int thread) const {
    const Place place = place_of(block);
    const int64_t row = place.row + thread % kTile;
    for (int c = thread / kTile; c < kTile; c += kRowsAtOnce) {
      const int64_t column = place.column + c;
      if (row < rows && column < columns) {
        shared.tile[c][thread % kTile] = from[place.from + row + column * from_column];
      }
    }
  }
  TENET_HD void store(const Shared& shared, int64_t block, int thread) const {
    const Place place = place_of(block);
    const int64_t column = place.column + thread % kTile;
    for (int r = thread / kTile; r < kTile; r += kRowsAtOnce) {
      const int64_t row = place.row + r;
      if (row < rows && column < columns) {
        to[place.to + row * to_row + column] = shared.tile[thread % kTile][r];
      }
    }
  }

 private:
  struct Place {
    int64_t row, column, to, from;
  };
  TENET_HD Place place_of(int64_t block) const {
    const int64_t across = tiles_across(), down = tiles_down();
    Place place{block / across % down * kTile, block % across * kTile, 0, 0};
    int64_t rest = block / across / down;
    for (int axis = others - 1; axis >= 0; --axis) {
      const int64_t index = rest % size[axis];
      rest /= size[axis];
      place.to += index * to_stride[axis];
      place.from += index * from_stride[axis];
    }
    return place;
  }
};

}  // namespace tenet::cuda
