/// The CPU side of ops/pool2d.h.
#include <tenet/core/memory.h>
#include <tenet/ops/detail/loop.h>
#include <tenet/ops/detail/reduce.h>
#include <tenet/ops/detail/window.h>
#include <tenet/ops/pool2d.h>

namespace tenet::detail {

constinit Kernel<void(View, View, View, const Window&)> max_pool2d_kernel{"max_pool2d"};
constinit Kernel<void(View, View, View)> pick_kernel{"max_pool2d_pick"};
constinit Kernel<void(View, View, View)> unpick_kernel{"max_pool2d_unpick"};
constinit Kernel<void(View, View, const Window&, bool)> avg_pool2d_kernel{"avg_pool2d"};
constinit Kernel<void(View, View, const Window&, bool)> avg_unpool2d_kernel{"avg_unpool2d"};

namespace {

/// Calls plane(p) for each plane, in parallel; `work` is what one costs, in elements.
template <class F>
void for_each_plane(const View& planes, int64_t work, const F& plane) {
  const int64_t count = planes.shape[0] * planes.shape[1];
  parallel_for(count, parallel_grain / (work + 1) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) plane(p);
  });
}

int64_t plane_size(const View& v) { return v.shape[2] * v.shape[3]; }

/// The part of a window that lies in the plane: rows [top, bottom), columns [left, right).
struct Patch {
  int64_t top, bottom, left, right;
  int64_t elements() const { return (bottom - top) * (right - left); }
};

Patch patch(const Window& w, int64_t row, int64_t column) {
  const auto clip = [](const WindowAxis& a, int64_t place) {
    return std::clamp<int64_t>(place, 0, a.size);
  };
  const int64_t top = w.rows.place(row, 0), left = w.columns.place(column, 0);
  return {clip(w.rows, top), clip(w.rows, top + w.rows.kernel), clip(w.columns, left),
          clip(w.columns, left + w.columns.kernel)};
}

/// Calls fn(q, patch) for each window q.
template <class F>
[[gnu::always_inline]] inline void for_each_window(const Window& w, const F& fn) {
  const int64_t rows = w.rows.count(), columns = w.columns.count();
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t column = 0; column < columns; ++column) {
      fn(row * columns + column, patch(w, row, column));
    }
  }
}

void max_pool2d_cpu(View y, View index, View x, const Window& w) {
  dispatch(FloatTypes(), x.dtype, "max_pool2d", [&]<class T>() {
    const int64_t windows = plane_size(y), elements = plane_size(x);
    for_each_plane(x, windows * w.taps(), [&](int64_t p) {
      const T* from = x.as<const T>() + p * elements;
      T* to = y.as<T>() + p * windows;
      int32_t* places = index.as<int32_t>() + p * windows;
      for_each_window(w, [&](int64_t q, const Patch& area) {
        int64_t best = area.top * w.columns.size + area.left;
        auto largest = static_cast<Compute<T>>(from[best]);
        for (int64_t i = area.top; i < area.bottom; ++i) {
          for (int64_t j = area.left; j < area.right; ++j) {
            const auto value = static_cast<Compute<T>>(from[i * w.columns.size + j]);
            if (!ahead<true>(value, largest)) continue;
            largest = value;
            best = i * w.columns.size + j;
          }
        }
        to[q] = from[best];
        places[q] = static_cast<int32_t>(best);
      });
    });
  });
}

void pick_cpu(View y, View x, View index) {
  dispatch(FloatTypes(), x.dtype, "max_pool2d", [&]<class T>() {
    const int64_t windows = plane_size(y), elements = plane_size(x);
    for_each_plane(y, windows, [&](int64_t p) {
      const T* from = x.as<const T>() + p * elements;
      const int32_t* places = index.as<const int32_t>() + p * windows;
      T* to = y.as<T>() + p * windows;
      for (int64_t q = 0; q < windows; ++q) to[q] = from[places[q]];
    });
  });
}

/// Calls add(p, sums) with zeros in the arithmetic type for each plane p of x, which gets the sums.
template <class T, class F>
void add_up_planes(const View& x, int64_t work, const F& add) {
  using C = Compute<T>;
  const int64_t elements = plane_size(x), count = x.shape[0] * x.shape[1];
  const bool in_place = std::is_same_v<T, C>;
  const memory::Workspace<C> space(in_place ? 0 : num_threads() * elements);
  parallel_for(count, parallel_grain / (work + 1) + 1, [&](int64_t begin, int64_t end) {
    C* const own = space.data() + thread_in_parallel() * elements;
    for (int64_t p = begin; p < end; ++p) {
      T* const to = x.as<T>() + p * elements;
      C* const sums = in_place ? reinterpret_cast<C*>(to) : own;
      std::fill_n(sums, elements, C(0));
      add(p, sums);
      if (!in_place) std::transform(sums, sums + elements, to, [](C value) { return T(value); });
    }
  });
}

void unpick_cpu(View x, View y, View index) {
  dispatch(FloatTypes(), x.dtype, "max_pool2d", [&]<class T>() {
    const int64_t windows = plane_size(y);
    add_up_planes<T>(x, windows + plane_size(x), [&](int64_t p, Compute<T>* sums) {
      const T* from = y.as<const T>() + p * windows;
      const int32_t* places = index.as<const int32_t>() + p * windows;
      for (int64_t q = 0; q < windows; ++q) sums[places[q]] += static_cast<Compute<T>>(from[q]);
    });
  });
}

int64_t divisor(const Window& w, const Patch& area, bool count_padding) {
  return count_padding ? w.taps() : area.elements();
}

void avg_pool2d_cpu(View y, View x, const Window& w, bool count_padding) {
  dispatch(FloatTypes(), x.dtype, "avg_pool2d", [&]<class T>() {
    using C = Compute<T>;
    const int64_t windows = plane_size(y), elements = plane_size(x);
    for_each_plane(x, windows * w.taps(), [&](int64_t p) {
      const T* from = x.as<const T>() + p * elements;
      T* to = y.as<T>() + p * windows;
      for_each_window(w, [&](int64_t q, const Patch& area) {
        C sum = 0;
        for (int64_t i = area.top; i < area.bottom; ++i) {
          const T* row = from + i * w.columns.size;
          for (int64_t j = area.left; j < area.right; ++j) sum += static_cast<C>(row[j]);
        }
        to[q] = T(sum / static_cast<C>(divisor(w, area, count_padding)));
      });
    });
  });
}

void avg_unpool2d_cpu(View x, View y, const Window& w, bool count_padding) {
  dispatch(FloatTypes(), x.dtype, "avg_pool2d", [&]<class T>() {
    using C = Compute<T>;
    const int64_t windows = plane_size(y);
    add_up_planes<T>(x, windows * w.taps() + plane_size(x), [&](int64_t p, C* sums) {
      const T* from = y.as<const T>() + p * windows;
      for_each_window(w, [&](int64_t q, const Patch& area) {
        const C share = static_cast<C>(from[q]) / static_cast<C>(divisor(w, area, count_padding));
        for (int64_t i = area.top; i < area.bottom; ++i) {
          C* row = sums + i * w.columns.size;
          for (int64_t j = area.left; j < area.right; ++j) row[j] += share;
        }
      });
    });
  });
}

constexpr auto cpu = Device::Kind::cpu;
const bool filled = max_pool2d_kernel.fill(cpu, &max_pool2d_cpu) &&
                    pick_kernel.fill(cpu, &pick_cpu) && unpick_kernel.fill(cpu, &unpick_cpu) &&
                    avg_pool2d_kernel.fill(cpu, &avg_pool2d_cpu) &&
                    avg_unpool2d_kernel.fill(cpu, &avg_unpool2d_cpu);

}  // namespace
}  // namespace tenet::detail
