/// Reading and adding at places, on the GPU. Places outside have been noted as faults
/// (cuda/detail/fault.h); here they are clamped.
#pragma once

#include <tenet/cuda/detail/gpu_thread.h>
#include <tenet/cuda/detail/indexing.h>
#include <tenet/ops/detail/reduce.h>

namespace tenet::cuda {

TENET_HD inline int64_t clamped(int64_t index, int64_t size) {
  return index < 0 ? 0 : index < size ? index : size - 1;
}

/// Division of numbers below `most` by `size`.
class RowDivider {
 public:
  RowDivider(int64_t size, int64_t most)
      : size_(size), wide_(most > std::numeric_limits<int32_t>::max()) {
    if (!wide_) by_ = Divider(static_cast<uint32_t>(std::max<int64_t>(size, 1)));
  }
  TENET_HD int64_t row(int64_t i) const {
    return wide_ ? i / size_ : by_.divide(static_cast<uint32_t>(i));
  }
  TENET_HD int64_t size() const { return size_; }

 private:
  int64_t size_;
  bool wide_;
  Divider by_;
};

/// Things that one thread of a copying kernel takes, `most_threads` apart.
inline constexpr int kTogether = 4;

/// y (outer, m, inner) = rows index (m,) of x (outer, n, inner); strides count in Words.
template <class Word>
struct GatherRowsTask {
  static constexpr int most_threads = 256;
  int64_t count;  // Words of y
  RowDivider inner, rows;
  int64_t n, stride_outer, stride_row, step;
  Word* y;
  const Word* x;
  const int64_t* index;

  int64_t grid() const { return (count + kTogether * most_threads - 1) / kTogether / most_threads; }

  template <class Thread>
  TENET_HD void operator()(const Thread& thread) const {
    const int64_t first = thread.block * kTogether * most_threads + thread.thread;
    Word some[kTogether];
#if defined(__CUDA_ARCH__)
#pragma unroll
#endif
    for (int k = 0; k < kTogether; ++k) {
      const int64_t i = first + k * most_threads;
      if (i < count) some[k] = x[place(i)];
    }
#if defined(__CUDA_ARCH__)
#pragma unroll
#endif
    for (int k = 0; k < kTogether; ++k) {
      const int64_t i = first + k * most_threads;
      if (i < count) y[i] = some[k];
    }
  }

 private:
  TENET_HD int64_t place(int64_t i) const {
    const int64_t row = inner.row(i), outer = rows.row(row);
    const int64_t at = clamped(index[row - outer * rows.size()], n);
    return outer * stride_outer + at * stride_row + (i - row * inner.size()) * step;
  }
};

/// y[.., i] = x[.., index[.., i]]; x's last axis has n elements, `step` apart.
template <class Word>
struct GatherTask {
  static constexpr int most_threads = 256;
  int64_t count;
  Indexing<3> at;  // y, x with stride 0 along the last axis, index
  int64_t n, step;
  Word* y;
  const Word* x;
  const int64_t* index;

  int64_t grid() const { return (count + kTogether * most_threads - 1) / kTogether / most_threads; }

  template <class Thread>
  TENET_HD void operator()(const Thread& thread) const {
    const int64_t first = thread.block * kTogether * most_threads + thread.thread;
    Word some[kTogether];
    int64_t to[kTogether];
#if defined(__CUDA_ARCH__)
#pragma unroll
#endif
    for (int k = 0; k < kTogether; ++k) {
      const int64_t i = first + k * most_threads;
      if (i >= count) continue;
      const auto places = at.places(i);
      to[k] = places.at[0];
      some[k] = x[places.at[1] + clamped(index[places.at[2]], n) * step];
    }
#if defined(__CUDA_ARCH__)
#pragma unroll
#endif
    for (int k = 0; k < kTogether; ++k) {
      if (first + k * most_threads < count) y[to[k]] = some[k];
    }
  }
};

/// keys[i] = index[i], numbers[i] = i, to be sorted.
struct NumberRowsTask {
  static constexpr int most_threads = 256;
  int64_t count, n;
  const int64_t* index;
  uint32_t *keys, *numbers;

  template <class Thread>
  TENET_HD void operator()(const Thread& thread) const {
    for (int64_t i = thread.place(); i < count; i += thread.stride()) {
      keys[i] = static_cast<uint32_t>(clamped(index[i], n));
      numbers[i] = static_cast<uint32_t>(i);
    }
  }
};

/// The sorted keys of row r are those from begin[r] up to, not including, end[r]; both are 0 before
/// for rows without one.
struct BoundsTask {
  static constexpr int most_threads = 256;
  int64_t count;
  const uint32_t* keys;
  uint32_t *begin, *end;

  template <class Thread>
  TENET_HD void operator()(const Thread& thread) const {
    for (int64_t i = thread.place(); i < count; i += thread.stride()) {
      if (i == 0 || keys[i] != keys[i - 1]) begin[keys[i]] = static_cast<uint32_t>(i);
      if (i + 1 == count || keys[i] != keys[i + 1]) end[keys[i]] = static_cast<uint32_t>(i + 1);
    }
  }
};

/// a + b, rounded to T.
template <class T>
TENET_HD T added(T a, T b) {
  return T(tenet::detail::plus(static_cast<Compute<T>>(a), static_cast<Compute<T>>(b)));
}

/// x (outer, n, inner) += rows of src (outer, m, inner), those of one row of x in order of m: one
/// thread per element of x.
template <class T>
struct AddRowsTask {
  static constexpr int most_threads = 128;
  int64_t count;  // elements of x
  RowDivider inner, rows;
  int64_t x_outer, x_row, x_step, src_outer, src_row, src_step;
  T* x;
  const T* src;
  const uint32_t *begin, *end, *numbers;

  int64_t grid() const { return (count + most_threads - 1) / most_threads; }

  template <class Thread>
  TENET_HD void operator()(const Thread& thread) const {
    const int64_t i = thread.place();
    if (i >= count) return;
    const int64_t row = inner.row(i), outer = rows.row(row);
    const int64_t column = i - row * inner.size(), destination = row - outer * rows.size();
    const uint32_t first = begin[destination], last = end[destination];
    if (first == last) return;
    const T* const from = src + outer * src_outer + column * src_step;
    T& to = x[outer * x_outer + destination * x_row + column * x_step];
    T sum = to;
    constexpr uint32_t many = 32;
    uint32_t k = first;
    for (; k + many <= last; k += many) {
      T some[many];
#if defined(__CUDA_ARCH__)
#pragma unroll
#endif
      for (uint32_t j = 0; j < many; ++j) some[j] = from[numbers[k + j] * src_row];
#if defined(__CUDA_ARCH__)
#pragma unroll
#endif
      for (uint32_t j = 0; j < many; ++j) sum = added(sum, some[j]);
    }
    for (; k < last; ++k) sum = added(sum, from[numbers[k] * src_row]);
    to = sum;
  }
};

/// x[.., index[.., i]] += src[.., i] along lines of `length` entries; x's have `n` elements.
struct ScatterLines {
  Indexing<3> starts;  // of the lines of x, index and src
  int64_t lines, length, n, step_x, step_index, step_src;
};

/// Short lines: a thread each.
template <class T>
struct ScatterShortTask {
  static constexpr int most_threads = 128;
  ScatterLines lines;
  T* x;
  const int64_t* index;
  const T* src;

  template <class Thread>
  TENET_HD void operator()(const Thread& thread) const {
    for (int64_t line = thread.place(); line < lines.lines; line += thread.stride()) {
      const auto at = lines.starts.places(line);
      for (int64_t i = 0; i < lines.length; ++i) {
        const int64_t place = clamped(index[at.at[1] + i * lines.step_index], lines.n);
        T& to = x[at.at[0] + place * lines.step_x];
        to = added(to, src[at.at[2] + i * lines.step_src]);
      }
    }
  }
};

/// Lines first .. first + count / length: keys (line, place) and the number of each entry.
struct NumberEntriesTask {
  static constexpr int most_threads = 256;
  ScatterLines lines;
  int64_t first, count;
  const int64_t* index;
  uint64_t* keys;
  uint32_t* numbers;

  template <class Thread>
  TENET_HD void operator()(const Thread& thread) const {
    for (int64_t i = thread.place(); i < count; i += thread.stride()) {
      const int64_t line = i / lines.length, entry = i - line * lines.length;
      const auto at = lines.starts.places(first + line);
      const int64_t place = clamped(index[at.at[1] + entry * lines.step_index], lines.n);
      keys[i] = static_cast<uint64_t>(line * lines.n + place);
      numbers[i] = static_cast<uint32_t>(i);
    }
  }
};

/// The thread that has the first of equal keys adds all of them, in order.
template <class T>
struct ScatterSortedTask {
  static constexpr int most_threads = 128;
  ScatterLines lines;
  int64_t first, count;
  const uint64_t* keys;
  const uint32_t* numbers;
  T* x;
  const T* src;

  template <class Thread>
  TENET_HD void operator()(const Thread& thread) const {
    for (int64_t i = thread.place(); i < count; i += thread.stride()) {
      if (i == 0 || keys[i] != keys[i - 1]) add(i);
    }
  }

 private:
  TENET_HD void add(int64_t i) const {
    const auto key = static_cast<int64_t>(keys[i]);
    const int64_t line = key / lines.n;
    const auto at = lines.starts.places(first + line);
    T& to = x[at.at[0] + (key - line * lines.n) * lines.step_x];
    T sum = to;
    constexpr int many = 8;
    for (bool all = true; all; i += many) {
      T some[many];
      bool same[many];
#if defined(__CUDA_ARCH__)
#pragma unroll
#endif
      for (int k = 0; k < many; ++k) {
        same[k] = i + k < count && keys[i + k] == static_cast<uint64_t>(key);
        if (!same[k]) continue;
        const int64_t entry = numbers[i + k] - line * lines.length;
        some[k] = src[at.at[2] + entry * lines.step_src];
      }
#if defined(__CUDA_ARCH__)
#pragma unroll
#endif
      for (int k = 0; k < many; ++k) sum = same[k] ? added(sum, some[k]) : sum;
      all = same[many - 1];
    }
    to = sum;
  }
};

}  // namespace tenet::cuda
