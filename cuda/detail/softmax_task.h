/// Rows of ops/softmax.h on the GPU; each step and the order of each sum is that of the CPU.
#pragma once

#include <tenet/cuda/detail/indexing.h>
#include <tenet/cuda/detail/row_plan.h>
#include <tenet/ops/detail/math.h>

#include <cmath>

namespace tenet::cuda {

/// y = exp(x - shift) / sum(exp(x - shift)), or with `logarithm` (x - shift) - log(sum(...)).
template <class T, bool logarithm>
struct SoftmaxTask {
  using C = Compute<T>;
  static constexpr int most_threads = RowPlan::most_threads;
  RowPlan plan;
  Indexing<2> starts;  // of the rows of y and x
  int64_t step_y, step_x;
  T* y;
  const T* x;

  template <class Thread>
  TENET_HD void operator()(const Thread& thread) const {
    const RowThread<T, Thread> mine(plan, thread);
    const auto at = starts.places(mine.exists() ? mine.row() : 0);
    const T* const from = x + at.at[1];
    T* const to = y + at.at[0];
    const bool cached = plan.cached;
    const auto read = [&](int64_t i) { return static_cast<C>(from[i * step_x]); };
    const auto kept = [&](int64_t i) { return cached ? mine.cell(i) : read(i); };
    const C top = mine.largest(read, [&](int64_t i, C value) {
      if (cached) mine.cell(i) = value;
    });
    const C shift = top == -std::numeric_limits<C>::infinity() ? C(0) : top;
    const double total = mine.sum(kept, [&](C sum, int64_t i, C value) {
      const C e = math::exp(value - shift);
      if (cached && !logarithm) mine.cell(i) = e;
      return sum + e;
    });
    if constexpr (logarithm) {
      const C level = total == 0 ? C(0) : static_cast<C>(std::log(total));
      mine.each_of_row(kept,
                       [&](int64_t i, C value) { to[i * step_y] = T((value - shift) - level); });
    } else {
      const C scale = total == 0 ? C(0) : static_cast<C>(1 / total);
      mine.each_of_row(kept, [&](int64_t i, C value) {
        to[i * step_y] = T((cached ? value : math::exp(value - shift)) * scale);
      });
    }
  }
};

/// dx = y * (dy - sum(dy * y)), or with `logarithm` dy - exp(y) * sum(dy).
template <class T, bool logarithm>
struct SoftmaxBackwardTask {
  using C = Compute<T>;
  static constexpr int most_threads = RowPlan::most_threads;
  RowPlan plan;        // keeps y and dy
  Indexing<3> starts;  // of the rows of dx, y and dy
  int64_t step_dx, step_y, step_dy;
  T* dx;
  const T *y, *dy;

  struct Pair {
    C y, dy;
  };

  template <class Thread>
  TENET_HD void operator()(const Thread& thread) const {
    const RowThread<T, Thread> mine(plan, thread);
    const auto at = starts.places(mine.exists() ? mine.row() : 0);
    const T *const p = y + at.at[1], *const g = dy + at.at[2];
    T* const to = dx + at.at[0];
    const auto read = [&](int64_t i) {
      return Pair{static_cast<C>(p[i * step_y]), static_cast<C>(g[i * step_dy])};
    };
    const bool cached = plan.cached;
    const C total = static_cast<C>(mine.sum(read, [&](C sum, int64_t i, const Pair& value) {
      if (cached) {
        mine.cell(i, 0) = value.y;
        mine.cell(i, 1) = value.dy;
      }
      return logarithm ? sum + value.dy : tenet::detail::fused(value.y, value.dy, sum);
    }));
    const auto again = [&](int64_t i) {
      return cached ? Pair{mine.cell(i, 0), mine.cell(i, 1)} : read(i);
    };
    mine.each_of_row(again, [&](int64_t i, const Pair& value) {
      to[i * step_dx] = T(logarithm ? tenet::detail::fused(-math::exp(value.y), total, value.dy)
                                    : value.y * (value.dy - total));
    });
  }
};

}  // namespace tenet::cuda
