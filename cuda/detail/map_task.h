/// y[i] = f(x[i], ...) on the GPU: what one thread does.
///
/// Where all operands are contiguous, or one number repeated, a thread reads and writes 16 bytes at
/// a time of the widest type; else it finds each element's places by division. Half types are
/// computed in f32. An element's bits do not depend on how it lies in memory.
#pragma once

#include <tenet/core/dtype.h>
#include <tenet/core/macros.h>
#include <tenet/cuda/detail/indexing.h>

#include <algorithm>
#include <utility>

namespace tenet::cuda {

/// So many elements that are read or written at once.
template <class T, int count>
struct alignas(sizeof(T) * count) Vector {
  T at[count];
};

/// Operands that are contiguous or, if `repeats`, one element that stands for all.
template <class F, class Y, class... X>
struct ContiguousMap {
  static constexpr int inputs = sizeof...(X);
  static constexpr int width = static_cast<int>(16 / std::max({sizeof(Y), sizeof(X)...}));

  F f = {};
  Y* y = nullptr;
  const void* x[inputs] = {};
  bool repeats[inputs] = {};
  bool aligned = false;  // every operand that does not repeat starts where a Vector may
  int64_t count = 0;

  /// The elements of one of `threads` threads.
  TENET_HD void run(int64_t thread, int64_t threads) const {
    run(thread, threads, std::index_sequence_for<X...>());
  }

 private:
  template <size_t... I>
  TENET_HD void run(int64_t thread, int64_t threads, std::index_sequence<I...>) const {
    const int64_t vectors = aligned ? count / width : 0;
    for (int64_t v = thread; v < vectors; v += threads) {
      apply(v, load<I, X>(v)...);
    }
    for (int64_t i = vectors * width + thread; i < count; i += threads) {
      y[i] = Y(static_cast<Compute<Y>>(
          f(static_cast<Compute<X>>(static_cast<const X*>(x[I])[repeats[I] ? 0 : i])...)));
    }
  }

  template <size_t i, class T>
  TENET_HD Vector<T, width> load(int64_t v) const {
    if (!repeats[i]) return static_cast<const Vector<T, width>*>(x[i])[v];
    Vector<T, width> same;
    for (int k = 0; k < width; ++k) same.at[k] = *static_cast<const T*>(x[i]);
    return same;
  }

  TENET_HD void apply(int64_t v, const Vector<X, width>&... values) const {
    Vector<Y, width> result;
#if defined(__CUDA_ARCH__)
#pragma unroll
#endif
    for (int k = 0; k < width; ++k) {
      result.at[k] = Y(static_cast<Compute<Y>>(f(static_cast<Compute<X>>(values.at[k])...)));
    }
    reinterpret_cast<Vector<Y, width>*>(y)[v] = result;
  }
};

/// Operands that lie in memory anyhow; `index` places y and then the x.
template <class F, class Y, class... X>
struct StridedMap {
  F f = {};
  Y* y = nullptr;
  const void* x[sizeof...(X)] = {};
  Indexing<1 + sizeof...(X)> index = {};
  int64_t count = 0;

  TENET_HD void run(int64_t thread, int64_t threads) const {
    run(thread, threads, std::index_sequence_for<X...>());
  }

 private:
  template <size_t... I>
  TENET_HD void run(int64_t thread, int64_t threads, std::index_sequence<I...>) const {
    for (int64_t i = thread; i < count; i += threads) {
      const auto place = index.places(i);
      y[place.at[0]] = Y(static_cast<Compute<Y>>(
          f(static_cast<Compute<X>>(static_cast<const X*>(x[I])[place.at[I + 1]])...)));
    }
  }
};

}  // namespace tenet::cuda
