/// cumsum() on the GPU. A row is a function of its elements alone: chunks of 2,048, in each 256
/// threads that add 8 elements in order, the threads' sums added as a tree of fixed shape, chunks
/// in order; all in f64, or i64 for integers. Rows of up to 64 are added one by one.
#pragma once

#include <tenet/cuda/detail/gpu_thread.h>
#include <tenet/cuda/detail/indexing.h>
#include <tenet/ops/detail/reduce.h>

namespace tenet::cuda {

using tenet::detail::plus;
using tenet::detail::TotalSum;

/// Rows along the last axis.
struct CumsumRows {
  static constexpr int per_thread = 8, threads = 256, chunk = per_thread * threads;
  static constexpr int64_t short_row = 64;
  Indexing<2> starts;  // of the rows of y and x
  int64_t rows, size, step_y, step_x;

  CumsumRows(const View& y, const View& x)
      : size(x.shape.back()), step_y(y.strides.back()), step_x(x.strides.back()) {
    Shape shape = x.shape;
    shape.erase(shape.dim() - 1);
    rows = shape.numel();
    starts = Indexing<2>(shape, {y, x});
  }
  TENET_HD int64_t chunks() const { return (size + chunk - 1) / chunk; }
};

template <class Out, class T>
struct CumsumShortTask {
  static constexpr int most_threads = 128;
  CumsumRows rows;
  Out* y;
  const T* x;

  template <class Thread>
  TENET_HD void operator()(const Thread& thread) const {
    for (int64_t row = thread.place(); row < rows.rows; row += thread.stride()) {
      const auto at = rows.starts.places(row);
      TotalSum<T> total = 0;
      for (int64_t i = 0; i < rows.size; ++i) {
        total = plus(total, static_cast<TotalSum<T>>(x[at.at[1] + i * rows.step_x]));
        y[at.at[0] + i * rows.step_y] = Out(static_cast<Compute<Out>>(total));
      }
    }
  }
};

/// One chunk by a block of threads: its sum where y is null, else its part of y.
template <class Out, class T>
struct CumsumChunkTask {
  using Total = TotalSum<T>;
  static constexpr int most_threads = CumsumRows::threads;
  static constexpr int64_t shared_bytes = 2 * most_threads * int64_t{sizeof(Total)};
  CumsumRows rows;
  Out* y;
  const T* x;
  Total* chunks;  // (rows, chunks): sums, or if y is not null what comes before; null: 0

  int64_t grid() const { return rows.rows * rows.chunks(); }

  template <class Thread>
  TENET_HD void operator()(const Thread& thread) const {
    constexpr int many = CumsumRows::per_thread;
    const int64_t row = thread.block / rows.chunks(), chunk = thread.block % rows.chunks();
    const int64_t first = chunk * CumsumRows::chunk + thread.thread * many;
    const auto at = rows.starts.places(row);
    Total terms[many];
    Total own = 0;
    for (int k = 0; k < many; ++k) {
      const bool inside = first + k < rows.size;
      terms[k] = inside ? static_cast<Total>(x[at.at[1] + (first + k) * rows.step_x]) : Total(0);
    }
    for (int k = 0; k < many; ++k) own = plus(own, terms[k]);
    const Total* const sums = up_to_each(thread, own);
    if (!y) {
      if (thread.thread == 0) chunks[thread.block] = sums[most_threads - 1];
      return;
    }
    Total total = chunks ? chunks[thread.block] : Total(0);
    if (thread.thread > 0) total = plus(total, sums[thread.thread - 1]);
    for (int k = 0; k < many; ++k) {
      total = plus(total, terms[k]);
      if (first + k < rows.size) {
        y[at.at[0] + (first + k) * rows.step_y] = Out(static_cast<Compute<Out>>(total));
      }
    }
  }

 private:
  /// [t]: the sum of the first t + 1 threads' numbers.
  template <class Thread>
  TENET_HD const Total* up_to_each(const Thread& thread, Total own) const {
    Total* from = thread.template shared<Total>();
    Total* to = from + most_threads;
    const int t = thread.thread;
    from[t] = own;
    thread.sync();
    for (int distance = 1; distance < most_threads; distance *= 2) {
      to[t] = t < distance ? from[t] : plus(from[t - distance], from[t]);
      thread.sync();
      Total* const swapped = from;
      from = to;
      to = swapped;
    }
    return from;
  }
};

/// Sums of chunks become what comes before each: a thread per row.
template <class Total>
struct CumsumCarryTask {
  static constexpr int most_threads = 128;
  int64_t rows, chunks;
  Total* sums;

  template <class Thread>
  TENET_HD void operator()(const Thread& thread) const {
    for (int64_t row = thread.place(); row < rows; row += thread.stride()) {
      Total before = 0;
      for (int64_t k = 0; k < chunks; ++k) {
        const Total own = sums[row * chunks + k];
        sums[row * chunks + k] = before;
        before = plus(before, own);
      }
    }
  }
};

}  // namespace tenet::cuda
