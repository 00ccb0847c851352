/// ops/cross_entropy.h on the GPU; each step and the order of each sum is that of the CPU. Targets
/// outside the classes have been noted as faults (cuda/detail/fault.h); here nothing is read
/// through them.
#pragma once

#include <tenet/core/dtype.h>
#include <tenet/cuda/detail/row_plan.h>
#include <tenet/ops/detail/math.h>

#include <cmath>

namespace tenet::cuda {

/// logsumexp of a row as the sum of two numbers: their rounded sum lacks digits where logits are
/// large.
template <class C>
struct RowLevel {
  C shift;  // the largest element, 0 if that is -inf
  double rest;
};

/// All threads of the block must call.
template <class C, class Row, class Read>
TENET_HD RowLevel<C> level_of(const Row& row, bool cached, const Read& read) {
  const C top = row.largest(read, [&](int64_t i, C value) {
    if (cached) row.cell(i) = value;
  });
  const C shift = top == -std::numeric_limits<C>::infinity() ? C(0) : top;
  const auto kept = [&](int64_t i) { return cached ? row.cell(i) : read(i); };
  const double total =
      row.sum(kept, [&](C sum, int64_t, C value) { return sum + math::exp(value - shift); });
  return {shift, std::log(total)};
}

template <class T>
struct CrossEntropyTask {
  using C = Compute<T>;
  static constexpr int most_threads = RowPlan::most_threads;
  RowPlan plan;
  C *loss, *lse;
  const T* logits;
  const int64_t* targets;
  int64_t ignore_index;

  template <class Thread>
  TENET_HD void operator()(const Thread& thread) const {
    const RowThread<T, Thread> mine(plan, thread);
    const T* const from = logits + mine.row() * plan.size;
    const auto [shift, level] =
        level_of<C>(mine, plan.cached, [&](int64_t i) { return static_cast<C>(from[i]); });
    if (!mine.leads()) return;
    const int64_t row = mine.row(), target = targets[row];
    lse[row] = static_cast<C>(static_cast<double>(shift) + level);
    const bool counts = target != ignore_index && target >= 0 && target < plan.size;
    loss[row] = counts ? static_cast<C>(level - (static_cast<double>(static_cast<C>(from[target])) -
                                                 static_cast<double>(shift)))
                       : C(0);
  }
};

/// dlogits = (exp(logits - lse) - onehot(targets)) * dloss; dlogits may be logits.
template <class T>
struct CrossEntropyBackwardTask {
  using C = Compute<T>;
  static constexpr int most_threads = RowPlan::most_threads;
  /// From here on the gradient sums a row anew. Below, the rounding of lse changes a share by
  /// 2^-19.
  static constexpr double large_level = 32;
  RowPlan plan;
  T* dlogits;
  const T* logits;
  const C* lse;
  const int64_t* targets;
  const C* dloss;  // or null: 1
  int64_t step_dloss, ignore_index;

  template <class Thread>
  TENET_HD void operator()(const Thread& thread) const {
    const RowThread<T, Thread> mine(plan, thread);
    const int64_t row = mine.row();
    const T* const from = logits + row * plan.size;
    T* const to = dlogits + row * plan.size;
    const auto read = [&](int64_t i) { return static_cast<C>(from[i]); };
    const bool ignored = mine.exists() && targets[row] == ignore_index;
    RowLevel<C> level{0, mine.exists() ? static_cast<double>(lse[row]) : 0};
    const double known = level.rest;
    const bool anew = !ignored && !(known < large_level && known > -large_level);
    RowThread<T, Thread> again = mine;
    if (!anew) again.sit_out();
    const RowLevel<C> exact = level_of<C>(again, false, read);
    if (anew) level = exact;
    const int64_t target = mine.exists() ? targets[row] : 0;
    const C scale = dloss && mine.exists() ? dloss[row * step_dloss] : C(1);
    const C shift = level.shift, rest = static_cast<C>(level.rest);
    mine.each_of_row(read, [&](int64_t i, C value) {
      const C share = math::exp((value - shift) - rest);
      to[i] = T(ignored ? C(0) : (i == target ? share - C(1) : share) * scale);
    });
  }
};

}  // namespace tenet::cuda
