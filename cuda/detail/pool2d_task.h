/// Pooling on the GPU: one thread per element of the result, which gathers what belongs to it, so
/// that every sum has the CPU's order.
#pragma once

#include <tenet/cuda/detail/gpu_thread.h>
#include <tenet/ops/detail/reduce.h>
#include <tenet/ops/detail/window.h>

#include <limits>

namespace tenet::cuda {

/// One axis of detail::Window.
struct PoolAxis {
  int64_t size, kernel, stride, padding, count;

  explicit PoolAxis(const tenet::detail::WindowAxis& a)
      : size(a.size), kernel(a.kernel), stride(a.stride), padding(a.padding), count(a.count()) {}
  /// The elements [first(o), last(o)) of window o that are inside.
  TENET_HD int64_t first(int64_t o) const { return clip(o * stride - padding, size); }
  TENET_HD int64_t last(int64_t o) const { return clip(o * stride - padding + kernel, size); }
  /// The windows [first_window(i), last_window(i)) that element i is in.
  TENET_HD int64_t first_window(int64_t i) const {
    const int64_t before = i + padding - kernel + 1;
    return before <= 0 ? 0 : clip((before + stride - 1) / stride, count);
  }
  TENET_HD int64_t last_window(int64_t i) const { return clip((i + padding) / stride + 1, count); }

 private:
  TENET_HD static int64_t clip(int64_t place, int64_t end) {
    return place < 0 ? 0 : place < end ? place : end;
  }
};

struct PoolPlan {
  int64_t planes;
  PoolAxis rows, columns;

  PoolPlan(int64_t planes_, const tenet::detail::Window& w)
      : planes(planes_), rows(w.rows), columns(w.columns) {}
  TENET_HD int64_t elements() const { return rows.size * columns.size; }
  TENET_HD int64_t windows() const { return rows.count * columns.count; }
};

/// y = the extremes of x, index = where in the plane they are.
template <class T>
struct MaxPoolTask {
  static constexpr int most_threads = 256;
  PoolPlan plan;
  T* y;
  int32_t* index;
  const T* x;

  template <class Thread>
  TENET_HD void operator()(const Thread& thread) const {
    const int64_t count = plan.planes * plan.windows();
    for (int64_t i = thread.place(); i < count; i += thread.stride()) window(i);
  }

 private:
  TENET_HD void window(int64_t i) const {
    const int64_t line = i / plan.columns.count, plane = line / plan.rows.count;
    const int64_t row = line - plane * plan.rows.count, column = i - line * plan.columns.count;
    const T* const from = x + plane * plan.elements();
    const int64_t left = plan.columns.first(column), right = plan.columns.last(column);
    const int64_t top = plan.rows.first(row), bottom = plan.rows.last(row);
    int64_t best = top * plan.columns.size + left;
    auto largest = static_cast<Compute<T>>(from[best]);
    for (int64_t a = top; a < bottom; ++a) {
      for (int64_t b = left; b < right; ++b) {
        const auto value = static_cast<Compute<T>>(from[a * plan.columns.size + b]);
        if (!tenet::detail::ahead<true>(value, largest)) continue;
        largest = value;
        best = a * plan.columns.size + b;
      }
    }
    y[i] = from[best];
    index[i] = static_cast<int32_t>(best);
  }
};

/// y[p, q] = x[p, index[p, q]]
template <class T>
struct PickTask {
  static constexpr int most_threads = 256;
  int64_t count, windows, elements;
  T* y;
  const T* x;
  const int32_t* index;

  template <class Thread>
  TENET_HD void operator()(const Thread& thread) const {
    for (int64_t i = thread.place(); i < count; i += thread.stride()) {
      y[i] = x[i / windows * elements + index[i]];
    }
  }
};

/// head[p, i] = some q with index[p, q] = i, or -1, which stood there before; next[p, q] = another
/// one, ... The order in which these come is not determined: UnpickTask sorts them.
struct LinkTask {
  static constexpr int most_threads = 256;
  int64_t count, windows, elements;
  const int32_t* index;
  int32_t *head, *next;

  template <class Thread>
  TENET_HD void operator()(const Thread& thread) const {
    for (int64_t i = thread.place(); i < count; i += thread.stride()) {
      const int64_t plane = i / windows;
      next[i] = thread.exchange(head + plane * elements + index[i],
                                static_cast<int32_t>(i - plane * windows));
    }
  }
};

/// x[p, i] = the sum of y[p, q] where index[p, q] = i, in order of q.
template <class T>
struct UnpickTask {
  static constexpr int most_threads = 256;
  int64_t count, windows, elements;
  const int32_t *head, *next;
  T* x;
  const T* y;

  template <class Thread>
  TENET_HD void operator()(const Thread& thread) const {
    for (int64_t i = thread.place(); i < count; i += thread.stride()) {
      const int64_t first = i / elements * windows;
      Compute<T> sum = 0;
      for (int32_t q = after(-1, i, first); q >= 0; q = after(q, i, first)) {
        sum += static_cast<Compute<T>>(y[first + q]);
      }
      x[i] = T(sum);
    }
  }

 private:
  /// The lowest q of the list of element i that is above `before`, or -1.
  TENET_HD int32_t after(int32_t before, int64_t i, int64_t first) const {
    int32_t lowest = -1;
    for (int32_t q = head[i]; q >= 0; q = next[first + q]) {
      if (q > before && (lowest < 0 || q < lowest)) lowest = q;
    }
    return lowest;
  }
};

/// y = the means of x.
template <class T>
struct AvgPoolTask {
  static constexpr int most_threads = 256;
  PoolPlan plan;
  bool count_padding;
  T* y;
  const T* x;

  template <class Thread>
  TENET_HD void operator()(const Thread& thread) const {
    const int64_t count = plan.planes * plan.windows();
    for (int64_t i = thread.place(); i < count; i += thread.stride()) window(i);
  }

 private:
  TENET_HD void window(int64_t i) const {
    using C = Compute<T>;
    const int64_t line = i / plan.columns.count, plane = line / plan.rows.count;
    const int64_t row = line - plane * plan.rows.count, column = i - line * plan.columns.count;
    const T* const from = x + plane * plan.elements();
    const int64_t left = plan.columns.first(column), right = plan.columns.last(column);
    const int64_t top = plan.rows.first(row), bottom = plan.rows.last(row);
    C sum = 0;
    for (int64_t a = top; a < bottom; ++a) {
      for (int64_t b = left; b < right; ++b) {
        sum += static_cast<C>(from[a * plan.columns.size + b]);
      }
    }
    const int64_t divisor =
        count_padding ? plan.rows.kernel * plan.columns.kernel : (bottom - top) * (right - left);
    y[i] = T(sum / static_cast<C>(divisor));
  }
};

/// x = the transpose of that: y / count added wherever it was read, in order of windows.
template <class T>
struct AvgUnpoolTask {
  static constexpr int most_threads = 256;
  PoolPlan plan;
  bool count_padding;
  T* x;
  const T* y;

  template <class Thread>
  TENET_HD void operator()(const Thread& thread) const {
    const int64_t count = plan.planes * plan.elements();
    for (int64_t i = thread.place(); i < count; i += thread.stride()) element(i);
  }

 private:
  TENET_HD void element(int64_t i) const {
    using C = Compute<T>;
    const int64_t line = i / plan.columns.size, plane = line / plan.rows.size;
    const int64_t row = line - plane * plan.rows.size, column = i - line * plan.columns.size;
    const T* const from = y + plane * plan.windows();
    C sum = 0;
    for (int64_t a = plan.rows.first_window(row); a < plan.rows.last_window(row); ++a) {
      const int64_t height = plan.rows.last(a) - plan.rows.first(a);
      for (int64_t b = plan.columns.first_window(column); b < plan.columns.last_window(column);
           ++b) {
        const int64_t width = plan.columns.last(b) - plan.columns.first(b);
        const int64_t divisor =
            count_padding ? plan.rows.kernel * plan.columns.kernel : height * width;
        sum += static_cast<C>(from[a * plan.columns.count + b]) / static_cast<C>(divisor);
      }
    }
    x[i] = T(sum);
  }
};

}  // namespace tenet::cuda
