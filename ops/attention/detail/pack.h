/// Rows of a [B, H, L, d] view, and their copies in a kernel's scratch space: padded to whole
/// vectors, as rows or as panels of columns.
#pragma once

#include <tenet/core/detail/round_up.h>
#include <tenet/core/parallel.h>
#include <tenet/ops/attention/detail/tile.h>
#include <tenet/ops/detail/transpose.h>

#include <algorithm>
#include <cstdint>

namespace tenet::detail::tiles {

/// A [B, H, L, d] view with contiguous rows; strides in elements.
template <class T>
struct HeadView {
  T* data = nullptr;
  int64_t batch = 0, head = 0, row = 0;

  /// The [L, d] part of head h of batch b.
  T* at(int64_t b, int64_t h) const { return data + b * batch + h * head; }
};

/// The rows of one head.
template <class T>
struct Rows {
  T* data = nullptr;
  int64_t stride = 0;

  T* operator[](int64_t i) const { return data + i * stride; }
};
template <class T>
Rows<T> head_rows(const HeadView<T>& view, int64_t b, int64_t h) {
  return {view.at(b, h), view.row};
}

/// Cuts one block of bytes that the caller allocated into 64-byte aligned arrays. Constructed
/// without memory it only adds up the sizes.
class Carver {
 public:
  explicit Carver(const void* base = nullptr) : place_(reinterpret_cast<uintptr_t>(base)) {}
  template <class U>
  U* take(int64_t count) {
    U* const array = reinterpret_cast<U*>(place_ + static_cast<uintptr_t>(used_));
    constexpr int64_t bytes = sizeof(U);  // NOLINT(bugprone-sizeof-expression): of a pointer too
    used_ += (count * bytes + 63) / 64 * 64;
    return array;
  }
  int64_t used() const { return used_; }

 private:
  uintptr_t place_;
  int64_t used_ = 0;
};

/// How many threads some multiply-adds are worth: waking one costs as much as a quarter million.
inline int threads_for(int64_t products) {
  return static_cast<int>(std::clamp<int64_t>(products >> 18, 1, num_threads()));
}

template <class T>
[[gnu::always_inline]] inline void prefetch_row(const T* row, int64_t size) {
  constexpr int64_t line = 64 / static_cast<int64_t>(sizeof(T));
  for (int64_t n = 0; n < size; n += line) __builtin_prefetch(row + n);
}
inline constexpr int64_t kPrefetchRows = 8;

/// to[0, width) = from[0, size), then zeros.
template <class T>
inline void copy_row(T* to, const T* from, int64_t size, int64_t width) {
  int64_t n = 0;
  for (; n + kLanes<T> <= size; n += kLanes<T>) store(to + n, load(from + n));
  if (n == width) return;
  for (int64_t i = n; i < width; i += kLanes<T>) store(to + i, Vector<T>{});
  for (; n < size; ++n) to[n] = from[n];
}

/// The same. False if a value is not finite.
template <class T>
inline bool pack_row(T* to, const T* from, int64_t size, int64_t width) {
  Vector<T> poison{};  // stays 0 while values are finite
  int64_t n = 0;
  for (; n + kLanes<T> <= size; n += kLanes<T>) {
    const Vector<T> value = load(from + n);
    poison = fma(value, Vector<T>{}, poison);
    store(to + n, value);
  }
  if (n < size) {
    store(to + n, Vector<T>{});
    for (int64_t i = n; i < size; ++i) to[i] = from[i];
    poison = fma(load(to + n), Vector<T>{}, poison);
    n += kLanes<T>;
  }
  for (; n < width; n += kLanes<T>) store(to + n, Vector<T>{});
  return sum_lanes<T>(poison) == 0;
}

#if TENET_HAVE_AVX512
inline __m512i load_part(const bf16* from, int64_t count) {
  return _mm512_maskz_loadu_epi16(first_lanes(count), from);
}
inline void copy_row(bf16* to, const bf16* from, int64_t size, int64_t width) {
  for (int64_t n = 0; n < width; n += 32) {
    _mm512_storeu_si512(to + n, load_part(from + n, size - n));
  }
}
inline bool pack_row(bf16* to, const bf16* from, int64_t size, int64_t width) {
  const __m512i exponent = _mm512_set1_epi16(0x7f80);
  __mmask32 faulty = 0;
  for (int64_t n = 0; n < width; n += 32) {
    const __m512i value = load_part(from + n, size - n);
    faulty |= _mm512_cmpeq_epi16_mask(_mm512_and_si512(value, exponent), exponent);
    _mm512_storeu_si512(to + n, value);
  }
  return faulty == 0;
}
#endif

/// The rows [first, first + count) of a head one after the other, padded.
template <class T>
inline void pack_rows(T* to, const Rows<const T>& from, int64_t first, int64_t count, int64_t size,
                      int64_t width) {
  for (int64_t i = 0; i < count; ++i) {
    if (i + kPrefetchRows < count) prefetch_row(from[first + i + kPrefetchRows], size);
    pack_row(to + i * width, from[first + i], size, width);
  }
}

/// to[0, size) = from[0, size), rounded to `to`'s type.
template <class S, class T>
inline void round_row(T* to, const S* from, int64_t size) {
  int64_t n = 0;
  for (; n + kLanes<S> <= size; n += kLanes<S>) store(to + n, load(from + n));
  for (; n < size; ++n) to[n] = T(from[n]);
}

/// to = (from * shrink if `kept`, else 0) + step, times share: the same bits at every place of a
/// row of any size.
template <class S, class To>
inline void update_row(To* to, const S* from, const S* step, int64_t size, bool kept, S shrink,
                       S share) {
  const Vector<S> factor = splat(shrink), last = splat(share);
  const auto updated = [&](const S* x, const S* y) {
    Vector<S> value = load(y);
    if (kept) value = fma(load(x), factor, value);
    return fma(value, last, Vector<S>{});  // + 0: no -0
  };
  int64_t n = 0;
  for (; n + kLanes<S> <= size; n += kLanes<S>) store(to + n, updated(from + n, step + n));
  if (n == size) return;
  S x[kLanes<S>] = {}, y[kLanes<S>] = {};
  if (kept) std::copy(from + n, from + size, x);
  std::copy(step + n, step + size, y);
  store(y, updated(x, y));
  std::transform(y, y + size - n, to + n, [](S value) { return To(value); });
}

/// to[0, size) += from[0, size).
template <class S, class T>
inline void add_row(S* to, const T* from, int64_t size) {
  int64_t n = 0;
  for (; n + kLanes<S> <= size; n += kLanes<S>) store(to + n, load(to + n) + load(from + n));
  for (; n < size; ++n) to[n] += from[n];
}

/// Exchanges rows and columns of a kLanes x kLanes block: to[k * to_row + i] = rows[i * width + k].
template <class T>
[[gnu::always_inline]] inline void transpose_block(const T* rows, int64_t width, T* to,
                                                   int64_t to_row) {
  Vector<T> block[kLanes<T>];
#pragma GCC unroll 16
  for (int64_t r = 0; r < kLanes<T>; ++r) block[r] = load(rows + r * width);
  transpose_registers<kLanes<T>, IndexVector<T>>(block);
#pragma GCC unroll 16
  for (int64_t r = 0; r < kLanes<T>; ++r) store(to + r * to_row, block[r]);
}

#if defined(__AVX512F__)
inline void transpose_block(const float* rows, int64_t width, float* to, int64_t to_row) {
  visit_columns([&](int64_t r) { return rows + r * width; },
                [&](int64_t k, __m512 column) { _mm512_storeu_ps(to + k * to_row, column); });
}
#endif

/// to[k * kPanel + i] = rows[i * width + k] for the first `count` rows; 0 for the rest of their
/// vector. A vector without rows is left as it is.
template <class T>
inline void transpose_panel(T* to, const T* rows, int64_t count, int64_t width) {
  constexpr int64_t V = kLanes<T>;
  for (int64_t first = 0; first < count; first += V) {
    if (first + V <= count) {
      for (int64_t k = 0; k < width; k += V) {
        transpose_block(rows + first * width + k, width, to + k * kPanel<T> + first, kPanel<T>);
      }
      continue;
    }
    alignas(64) T part[V * V];
    for (int64_t k = 0; k < width; k += V) {
      for (int64_t r = 0; r < V; ++r) {
        const bool filled = first + r < count;
        store(part + r * V, filled ? load(rows + (first + r) * width + k) : Vector<T>{});
      }
      transpose_block(part, V, to + k * kPanel<T> + first, kPanel<T>);
    }
  }
}

#if TENET_HAVE_AVX512
/// The same of pairs of numbers: to[k][i] = (rows[i][2k], rows[i][2k + 1]), [width / 2][kPanel]
/// pairs, each a row of B.
inline void transpose_panel(bf16* to, const bf16* rows, int64_t count, int64_t width) {
  transpose_panel(reinterpret_cast<float*>(to), reinterpret_cast<const float*>(rows), count,
                  width / 2);
}

/// to[r][n] = (rows[2r][n], rows[2r + 1][n]), rows of B; 0 from row `count` up to row `room`.
inline void pair_rows(bf16* to, const bf16* rows, int64_t count, int64_t room, int64_t width) {
  const auto row = [&](int64_t i, int64_t n) {
    return i < count ? _mm512_loadu_si512(rows + i * width + n) : _mm512_setzero_si512();
  };
  for (int64_t i = 0; i < room; i += 2) {
    for (int64_t n = 0; n < width; n += 32) {
      bf16* const pairs = to + i * width + 2 * n;
      store_pairs(row(i, n), row(i + 1, n), pairs, pairs + 32);
    }
  }
}
#endif

/// a . b over padded rows.
template <class A, class B>
inline Compute<A> dot(const A* a, const B* b, int64_t width) {
  Vector<A> sum{};
  for (int64_t n = 0; n < width; n += kLanes<A>) sum = fma(load(a + n), load(b + n), sum);
  return sum_lanes<Compute<A>>(sum);
}
/// The sum of squares of a padded row, a function of the row alone.
template <class T>
inline Compute<T> square_sum(const T* row, int64_t width) {
  return dot(row, row, width);
}

}  // namespace tenet::detail::tiles
