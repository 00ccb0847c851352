/// The CPU side of ops/index.h.
#include <tenet/ops/detail/element_size.h>
#include <tenet/ops/detail/lines.h>
#include <tenet/ops/index.h>

#include <algorithm>
#include <atomic>
#include <cstring>

namespace tenet::detail {

constinit Kernel<void(View, int64_t, int64_t, const char*)> check_index_kernel{"check_index"};
constinit Kernel<void(View, View, View)> gather_rows_kernel{"gather_rows"};
constinit Kernel<void(View, View, View)> add_rows_kernel{"add_rows"};
constinit Kernel<void(View, View, View)> gather_kernel{"gather"};
constinit Kernel<void(View, View, View)> scatter_add_kernel{"scatter_add"};

namespace {

void check_index_cpu(View index, int64_t n, int64_t ignored, const char* op) {
  const int64_t* at = index.as<const int64_t>();
  const int64_t count = index.numel();
  const auto fits = [=](int64_t i) {
    return (static_cast<uint64_t>(i) < static_cast<uint64_t>(n)) | (i == ignored);
  };
  std::atomic<bool> all = true;
  parallel_for(count, parallel_grain, [&](int64_t begin, int64_t end) {
    int64_t bad = 0;  // as wide as an index: then this is vector code
    for (int64_t i = begin; i < end; ++i) bad |= fits(at[i]) ? 0 : 1;
    if (bad != 0) all = false;
  });
  if (all) return;
  const int64_t first = std::find_if_not(at, at + count, fits) - at;
  fail("{}: index {} at position {} is outside 0..{}", op, at[first], first, n - 1);
}

void gather_rows_cpu(View y, View x, View index) {
  dispatch_size(x.dtype, [&]<class T>() {
    const int64_t* at = index.as<const int64_t>();
    const int64_t rows = y.shape[1], inner = y.shape[2], step = x.strides[2];
    parallel_for(
        y.shape[0] * rows, parallel_grain / (inner + 1) + 1, [&](int64_t begin, int64_t end) {
          for (int64_t row = begin; row < end; ++row) {
            T* to = y.as<T>() + row * inner;
            const T* from =
                x.as<const T>() + row / rows * x.strides[0] + at[row % rows] * x.strides[1];
            if (step == 1) {
              std::memcpy(to, from, static_cast<size_t>(inner) * sizeof(T));
            } else {
              for (int64_t i = 0; i < inner; ++i) to[i] = from[i * step];
            }
          }
        });
  });
}

/// Columns that one thread adds up alone; it walks all rows for them, so their order is that of the
/// rows.
constexpr int64_t column_tile = 16;

void add_rows_cpu(View x, View index, View src) {
  dispatch(NumberTypes(), x.dtype, "add_rows", [&]<class T>() {
    const int64_t* at = index.as<const int64_t>();
    const int64_t rows = src.shape[1], inner = src.shape[2], step = src.strides[2];
    const int64_t tiles = (inner + column_tile - 1) / column_tile;
    const auto add = [&](int64_t outer, int64_t first, int64_t last) {
      T* to = x.as<T>() + outer * x.strides[0];
      const T* from = src.as<const T>() + outer * src.strides[0];
      for (int64_t row = 0; row < rows; ++row) {
        T* a = to + at[row] * x.strides[1];
        const T* b = from + row * src.strides[1];
        for (int64_t i = first; i < last; ++i) a[i] = T(Compute<T>(a[i]) + Compute<T>(b[i * step]));
      }
    };
    const int64_t grain = parallel_grain / (rows * column_tile + 1) + 1;
    parallel_for(x.shape[0] * tiles, grain, [&](int64_t begin, int64_t end) {
      while (begin < end) {
        const int64_t outer = begin / tiles, first = begin % tiles;
        const int64_t last = std::min(tiles, first + end - begin);
        add(outer, first * column_tile, std::min(inner, last * column_tile));
        begin += last - first;
      }
    });
  });
}

void gather_cpu(View y, View x, View index) {
  dispatch_size(x.dtype, [&]<class T>() {
    const int64_t n = y.shape.back();
    const int64_t step_y = y.strides.back(), step_x = x.strides.back(), step = index.strides.back();
    for_each_line<3>({y, x, index}, n, [&](int64_t, const auto& at) {
      T* to = y.as<T>() + at[0];
      const T* from = x.as<const T>() + at[1];
      const int64_t* place = index.as<const int64_t>() + at[2];
      if (step_y == 1 && step_x == 1 && step == 1) {
        for (int64_t i = 0; i < n; ++i) to[i] = from[place[i]];
      } else {
        for (int64_t i = 0; i < n; ++i) to[i * step_y] = from[place[i * step] * step_x];
      }
    });
  });
}

void scatter_add_cpu(View x, View index, View src) {
  dispatch(NumberTypes(), x.dtype, "scatter_add", [&]<class T>() {
    const int64_t n = src.shape.back();
    const int64_t step_x = x.strides.back(), step = index.strides.back(),
                  step_src = src.strides.back();
    for_each_line<3>({x, index, src}, n, [&](int64_t, const auto& at) {
      T* to = x.as<T>() + at[0];
      const int64_t* place = index.as<const int64_t>() + at[1];
      const T* from = src.as<const T>() + at[2];
      const auto add = [&](int64_t at_x, int64_t at_src) {
        to[at_x] = T(Compute<T>(to[at_x]) + Compute<T>(from[at_src]));
      };
      if (step_x == 1 && step == 1 && step_src == 1) {
        for (int64_t i = 0; i < n; ++i) add(place[i], i);
      } else {
        for (int64_t i = 0; i < n; ++i) add(place[i * step] * step_x, i * step_src);
      }
    });
  });
}

constexpr auto cpu = Device::Kind::cpu;
const bool filled =
    check_index_kernel.fill(cpu, &check_index_cpu) &&
    gather_rows_kernel.fill(cpu, &gather_rows_cpu) && add_rows_kernel.fill(cpu, &add_rows_cpu) &&
    gather_kernel.fill(cpu, &gather_cpu) && scatter_add_kernel.fill(cpu, &scatter_add_cpu);

}  // namespace
}  // namespace tenet::detail
