/// ops/layer_norm.h on the GPU; each step and the order of each sum is that of the CPU.
#pragma once

#include <tenet/core/dtype.h>
#include <tenet/cuda/detail/row_plan.h>

#include <cmath>

namespace tenet::cuda {

using tenet::detail::fused;

/// y = (x - mean) * rstd * weight + bias; rows as in detail::LayerNormForward.
template <class T>
struct LayerNormTask {
  using C = Compute<T>;
  static constexpr int most_threads = RowPlan::most_threads;
  RowPlan plan;
  T* y;
  C *mean, *rstd;
  const T *x, *weight, *bias;  // weight and bias: null is 1 and 0
  double eps;

  template <class Thread>
  TENET_HD void operator()(const Thread& thread) const {
    const RowThread<T, Thread> mine(plan, thread);
    const T* const from = x + mine.row() * plan.size;
    T* const to = y + mine.row() * plan.size;
    const auto size = static_cast<double>(plan.size);
    const bool cached = plan.cached;
    const auto read = [&](int64_t i) { return static_cast<C>(from[i]); };
    const auto kept = [&](int64_t i) { return cached ? mine.cell(i) : read(i); };
    const C center = static_cast<C>(mine.sum(read, [&](C sum, int64_t i, C value) {
      if (cached) mine.cell(i) = value;
      return sum + value;
    }) / size);
    const double squares = mine.sum(kept, [&](C sum, int64_t, C value) {
      const C distance = value - center;
      return fused(distance, distance, sum);
    });
    const C r = static_cast<C>(1 / std::sqrt(squares / size + eps));
    if (mine.leads()) {
      mean[mine.row()] = center;
      rstd[mine.row()] = r;
    }
    mine.each_of_row(kept, [&](int64_t i, C value) {
      const C w = weight ? static_cast<C>(weight[i]) : C(1);
      const C b = bias ? static_cast<C>(bias[i]) : C(0);
      to[i] = T(fused((value - center) * r, w, b));
    });
  }
};

/// dx = rstd * (g - mean(g) - xhat * mean(g * xhat)), g = dy * weight, xhat = (x - mean) * rstd
template <class T>
struct LayerNormBackwardTask {
  using C = Compute<T>;
  static constexpr int most_threads = RowPlan::most_threads;
  RowPlan plan;  // keeps x and dy
  T* dx;
  const T *dy, *x;
  const C *mean, *rstd;
  const T* weight;  // or null

  struct Pair {
    C x, dy;
  };

  template <class Thread>
  TENET_HD void operator()(const Thread& thread) const {
    const RowThread<T, Thread> mine(plan, thread);
    const int64_t first = mine.row() * plan.size;
    const C center = mine.exists() ? mean[mine.row()] : C(0);
    const C r = mine.exists() ? rstd[mine.row()] : C(0);
    const bool cached = plan.cached;
    const auto scale = [&](int64_t i) { return weight ? static_cast<C>(weight[i]) : C(1); };
    const auto read = [&](int64_t i) {
      return Pair{static_cast<C>(x[first + i]), static_cast<C>(dy[first + i])};
    };
    const auto kept = [&](int64_t i) {
      return cached ? Pair{mine.cell(i, 0), mine.cell(i, 1)} : read(i);
    };
    const double per_element = 1 / static_cast<double>(plan.size);
    const C mean_g =
        static_cast<C>(per_element * mine.sum(read, [&](C sum, int64_t i, const Pair& value) {
          if (cached) {
            mine.cell(i, 0) = value.x;
            mine.cell(i, 1) = value.dy;
          }
          return fused(value.dy, scale(i), sum);
        }));
    const C mean_gx =
        static_cast<C>(per_element * mine.sum(kept, [&](C sum, int64_t i, const Pair& value) {
          return fused(value.dy * scale(i), (value.x - center) * r, sum);
        }));
    mine.each_of_row(kept, [&](int64_t i, const Pair& value) {
      const C xhat = (value.x - center) * r;
      dx[first + i] = T(r * fused(-xhat, mean_gx, fused(value.dy, scale(i), -mean_g)));
    });
  }
};

/// Rows whose terms of dweight and dbias one thread adds up in order; 16 such shares make a block.
inline constexpr int64_t kNormShare = tenet::detail::reduce_block / 16;

/// dweight = sum(dy * xhat), dbias = sum(dy) over the rows of each share: one thread per column.
template <class T>
struct LayerNormSharesTask {
  using C = Compute<T>;
  static constexpr int most_threads = 128;
  int64_t rows, size;
  C *dweight, *dbias;  // (shares, size); null: not wanted
  const T *dy, *x;
  const C *mean, *rstd;

  int64_t tiles() const { return (size + most_threads - 1) / most_threads; }
  int64_t grid() const { return tiles() * ((rows + kNormShare - 1) / kNormShare); }

  template <class Thread>
  TENET_HD void operator()(const Thread& thread) const {
    const int64_t across = (size + most_threads - 1) / most_threads;
    const int64_t share = thread.block / across;
    const int64_t column = thread.block % across * most_threads + thread.thread;
    if (column >= size) return;
    const int64_t first = share * kNormShare;
    const int64_t end = first + kNormShare < rows ? first + kNormShare : rows;
    C dw = 0, db = 0;
    constexpr int many = 8;
    for (int64_t row = first; row < end; row += many) {
      C g[many], xhat[many];
#if defined(__CUDA_ARCH__)
#pragma unroll
#endif
      for (int k = 0; k < many; ++k) {
        if (row + k >= end) continue;
        const int64_t i = (row + k) * size + column;
        g[k] = static_cast<C>(dy[i]);
        if (dweight) xhat[k] = (static_cast<C>(x[i]) - mean[row + k]) * rstd[row + k];
      }
#if defined(__CUDA_ARCH__)
#pragma unroll
#endif
      for (int k = 0; k < many; ++k) {
        if (row + k >= end) continue;
        if (dweight) dw = fused(g[k], xhat[k], dw);
        db += g[k];
      }
    }
    if (dweight) dweight[share * size + column] = dw;
    if (dbias) dbias[share * size + column] = db;
  }
};

/// to[i] = the shares of column i: 16 of a block in order, then blocks in order, in f64. A block of
/// threads takes 32 columns and 16 blocks of rows at a time.
template <class T>
struct AddSharesTask {
  using C = Compute<T>;
  static constexpr int columns = 32, rows = 16, most_threads = columns * rows;
  static constexpr int64_t shared_bytes = most_threads * int64_t{sizeof(C)};
  int64_t count, size;  // shares and columns
  T* to;
  const C* shares;

  int64_t grid() const { return (size + columns - 1) / columns; }

  template <class Thread>
  TENET_HD void operator()(const Thread& thread) const {
    C* const sums = thread.template shared<C>();
    const int64_t column = thread.block * columns + thread.thread % columns;
    const int64_t blocks = (count + 15) / 16;
    double total = 0;
    for (int64_t first = 0; first < blocks; first += rows) {
      const int64_t block = first + thread.thread / columns;
      if (block < blocks && column < size) sums[thread.thread] = sum_of(block, column);
      thread.sync();
      if (thread.thread < columns) {
        const int used = blocks - first < rows ? static_cast<int>(blocks - first) : rows;
        for (int k = 0; k < used; ++k) {
          total += static_cast<double>(sums[k * columns + thread.thread]);
        }
      }
      thread.sync();
    }
    if (thread.thread < columns && column < size) to[column] = T(static_cast<C>(total));
  }

 private:
  TENET_HD C sum_of(int64_t block, int64_t column) const {
    const C* const from = shares + block * 16 * size + column;
    const int used = count - block * 16 < 16 ? static_cast<int>(count - block * 16) : 16;
    C some[16];
#if defined(__CUDA_ARCH__)
#pragma unroll
#endif
    for (int k = 0; k < 16; ++k) some[k] = k < used ? from[k * size] : C(0);
    C sum = 0;
#if defined(__CUDA_ARCH__)
#pragma unroll
#endif
    for (int k = 0; k < 16; ++k) sum = k < used ? sum + some[k] : sum;
    return sum;
  }
};

}  // namespace tenet::cuda
