/// argsort() on the GPU: keys in the order of the elements, and what becomes of the sorted ones.
#pragma once

#include <tenet/core/dtype.h>
#include <tenet/cuda/detail/gpu_thread.h>
#include <tenet/cuda/detail/indexing.h>

#include <bit>
#include <type_traits>

namespace tenet::cuda {

template <class T>
using SortKey = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;

/// An element as a number without sign in the same order: NaN is the largest, -0 is 0.
template <class T>
TENET_HD SortKey<T> sort_key(T element) {
  using Key = SortKey<T>;
  constexpr Key top = Key{1} << (8 * sizeof(Key) - 1);
  const auto x = static_cast<Compute<T>>(element);
  if constexpr (std::is_floating_point_v<Compute<T>>) {
    const Key bits = std::bit_cast<Key>(x == 0 ? Compute<T>(0) : x);
    return x != x ? static_cast<Key>(-1) : (bits & top) != 0 ? static_cast<Key>(~bits) : bits | top;
  } else {
    using Signed = std::make_signed_t<Key>;
    return static_cast<Key>(static_cast<Signed>(x)) ^ top;
  }
}

/// Keys of rows first .. of x, all rows one after the other, and their numbers. `flip` turns the
/// order around but for that of equals.
template <class T>
struct SortKeysTask {
  using Key = SortKey<T>;
  static constexpr int most_threads = 256;
  Indexing<1> at;  // of x
  int64_t start, count;
  const T* x;
  Key* keys;
  uint32_t* numbers;
  Key flip;

  template <class Thread>
  TENET_HD void operator()(const Thread& thread) const {
    for (int64_t i = thread.place(); i < count; i += thread.stride()) {
      keys[i] = sort_key(x[at.places(start + i).at[0]]) ^ flip;
      numbers[i] = static_cast<uint32_t>(i);
    }
  }
};

/// Sorted numbers as keys of their rows, for a second, stable sort.
struct RowKeysTask {
  static constexpr int most_threads = 256;
  int64_t count, size;  // size: of a row
  const uint32_t* sorted;
  uint32_t *keys, *numbers;

  template <class Thread>
  TENET_HD void operator()(const Thread& thread) const {
    for (int64_t i = thread.place(); i < count; i += thread.stride()) {
      numbers[i] = sorted[i];
      keys[i] = static_cast<uint32_t>(sorted[i] / size);
    }
  }
};

/// indices (.., k) from row `first` on: the first k numbers of each sorted row, counted from the
/// row's start.
struct SortedPlacesTask {
  static constexpr int most_threads = 256;
  Indexing<1> at;  // of indices
  int64_t first, rows, size, k;
  const uint32_t* numbers;
  int64_t* indices;

  template <class Thread>
  TENET_HD void operator()(const Thread& thread) const {
    for (int64_t i = thread.place(); i < rows * k; i += thread.stride()) {
      const int64_t row = i / k;
      indices[at.places(first * k + i).at[0]] = numbers[row * size + i - row * k] - row * size;
    }
  }
};

}  // namespace tenet::cuda
