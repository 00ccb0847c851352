/// Convolutions with one channel a group, directly: nothing is shared that a product of matrices
/// could use. Plain C++ but for TENET_HD.
#pragma once

#include <tenet/cuda/detail/patches_task.h>
#include <tenet/cuda/detail/unroll.h>
#include <tenet/ops/detail/reduce.h>

namespace tenet::cuda {

/// y[image, channel, window]: one chain of multiply-adds over the taps, then the bias. A block has
/// 256 windows of one plane.
template <class T>
struct DepthwiseOutputTask {
  using C = Compute<T>;
  static constexpr int threads = 256;

  const T *x, *w, *bias;  // bias may be null
  T* y;
  Taps taps;
  Quotient by_outputs;         // of one group
  int64_t planes_out, blocks;  // channels of y; blocks of one plane
  int64_t windows;

  TENET_HD void run(int64_t block, int thread) const {
    const int64_t plane = block / blocks, channel = plane % planes_out;
    const int64_t window = (block - plane * blocks) * threads + thread;
    if (window >= windows) return;
    const int64_t count = taps.by_taps.divisor(), kernel = taps.by_kernel.divisor();
    const T* const from = x + by_outputs(plane) * taps.plane();
    const T* const weights = w + channel * count;
    const int64_t o = taps.by_columns(window), p = window - o * taps.by_columns.divisor();
    C sum = 0;
    for (int64_t tap = 0, i = 0; tap < count; ++i) {
      const int64_t row = taps.rows.place(o, i);
      const bool real = taps.rows.inside(row);
      for (int64_t j = 0; j < kernel; ++j, ++tap) {
        const int64_t column = taps.columns.place(p, j);
        const bool read = real && taps.columns.inside(column);
        const C value = read ? static_cast<C>(from[row * taps.columns.size + column]) : C(0);
        sum = tenet::detail::fused(static_cast<C>(weights[tap]), value, sum);
      }
    }
    if (bias != nullptr) sum += static_cast<C>(bias[channel]);
    y[plane * windows + window] = T(sum);
  }
};

/// dx[image, group, element]: one chain over the group's outputs and the taps. A block has 256
/// elements of one plane.
template <class T>
struct DepthwiseInputTask {
  using C = Compute<T>;
  static constexpr int threads = 256;

  const T *dy, *w;
  T* dx;
  Taps taps;
  int64_t groups, outputs, windows, blocks;

  TENET_HD void run(int64_t block, int thread) const {
    const int64_t plane = block / blocks, group = plane % groups;
    const int64_t element = (block - plane * blocks) * threads + thread;
    if (element >= taps.plane()) return;
    const int64_t h = taps.by_width(element), width = element - h * taps.by_width.divisor();
    const int64_t count = taps.by_taps.divisor(), kernel = taps.by_kernel.divisor();
    C sum = 0;
    for (int64_t output = 0; output < outputs; ++output) {
      const T* const from = dy + (plane * outputs + output) * windows;
      const T* const weights = w + (group * outputs + output) * count;
      for (int64_t tap = 0, i = 0; tap < count; tap += kernel, ++i) {
        const int64_t o = taps.rows.window(h, i);
        if (o < 0) continue;
        for (int64_t j = 0; j < kernel; ++j) {
          const int64_t p = taps.columns.window(width, j);
          if (p < 0) continue;
          const auto d = static_cast<C>(from[o * taps.columns.count + p]);
          sum = tenet::detail::fused(static_cast<C>(weights[tap + j]), d, sum);
        }
      }
    }
    dx[plane * taps.plane() + element] = T(sum);
  }
};

/// dw[channel, tap] = the sum over images and windows. A block makes one: thread t adds the windows
/// t, t + 256, ... of an image in C, these of all images in f64; the 256 are then added as a tree.
template <class T>
struct DepthwiseWeightTask {
  using C = Compute<T>;
  static constexpr int threads = 256;
  struct Shared {
    double sums[threads];
  };

  const T *dy, *x;
  T* dw;
  Taps taps;
  Quotient by_outputs;
  int64_t planes_out, planes_in, images, windows;  // channels of y, of x

  TENET_HD void add(Shared& shared, int64_t block, int thread) const {
    const int64_t channel = taps.by_taps(block), tap = block - channel * taps.by_taps.divisor();
    const int64_t i = taps.by_kernel(tap), j = tap - i * taps.by_kernel.divisor();
    double total = 0;
    for (int64_t image = 0; image < images; ++image) {
      const T* const d = dy + (image * planes_out + channel) * windows;
      const T* const from = x + (image * planes_in + by_outputs(channel)) * taps.plane();
      C sum = 0;
      for (int64_t window = thread; window < windows; window += threads) {
        const int64_t o = taps.by_columns(window), p = window - o * taps.by_columns.divisor();
        const int64_t row = taps.rows.place(o, i), column = taps.columns.place(p, j);
        const bool read = taps.rows.inside(row) && taps.columns.inside(column);
        const C value = read ? static_cast<C>(from[row * taps.columns.size + column]) : C(0);
        sum = tenet::detail::fused(static_cast<C>(d[window]), value, sum);
      }
      total += sum;
    }
    shared.sums[thread] = total;
  }
  /// For half = 128, 64, ..., 1, with a barrier before each.
  TENET_HD void fold(Shared& shared, int half, int thread) const {
    if (thread < half) shared.sums[thread] += shared.sums[thread + half];
  }
  TENET_HD void finish(const Shared& shared, int64_t block, int thread) const {
    if (thread == 0) dw[block] = T(static_cast<C>(shared.sums[0]));
  }
};

}  // namespace tenet::cuda
