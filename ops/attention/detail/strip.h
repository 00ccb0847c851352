/// Strip: consecutive keys and their values, copied into a kernel's scratch space.
#pragma once

#include <tenet/ops/attention/detail/pack.h>
#include <tenet/ops/attention/detail/sight.h>

#include <cmath>

namespace tenet::detail::tiles {

/// Consecutive keys in a kernel's scratch space. Rows are `width` long, zero beyond `size` and
/// beyond `count` keys.
template <class T>
struct Strip {
  int64_t count = 0, size = 0, width = 0;
  T* k = nullptr;               // not normalised
  T* v = nullptr;               // rows that are not finite are 0 here and listed in `faulty`
  T* k_sum = nullptr;           // k as weigh() takes it: itself, or its pairs of rows
  T* v_sum = nullptr;           // and v; finish_keys() makes those that are not null
  Compute<T>* scale = nullptr;  // what multiplies the scores of each key
  int32_t* token = nullptr;     // position in the sequence
  int64_t faulty_count = 0;
  int32_t* faulty = nullptr;
  const T** faulty_value = nullptr;
};

/// Which of k and v weigh() will be called with.
enum class Sums { values, keys };

/// Room for `keys` keys.
template <class T>
Strip<T> carve_strip(Carver& carver, int64_t keys, int64_t size, Sums sums) {
  Strip<T> strip;
  const int64_t room = round_up(keys, kKeyUnit<T>);
  strip.size = size;
  strip.width = round_up(size, kWidthUnit<T>);
  strip.k = carver.take<T>(room * strip.width);
  strip.v = carver.take<T>(room * strip.width);
  if constexpr (std::is_same_v<T, bf16>) {
    (sums == Sums::keys ? strip.k_sum : strip.v_sum) = carver.take<T>(room * strip.width);
  } else {
    strip.k_sum = strip.k, strip.v_sum = strip.v;
  }
  strip.scale = carver.take<Compute<T>>(room);
  strip.token = carver.take<int32_t>(room);
  strip.faulty = carver.take<int32_t>(room);
  strip.faulty_value = carver.take<const T*>(room);
  return strip;
}

/// How keys become scores: q . k * scale, over the root mean square of k if `normalize`.
struct KeyScale {
  double scale = 1;
  bool normalize = false;
};

/// The mean square of a key plus epsilon; its row is padded to `width`.
template <class T>
inline Compute<T> mean_square(const T* k, int64_t size, int64_t width) {
  using S = Compute<T>;
  return square_sum(k, width) / static_cast<S>(size) + static_cast<S>(kKeyEpsilon);
}
/// What multiplies the scores of a key.
template <class S>
inline S key_factor(S mean, const KeyScale& how) {
  const S scale = static_cast<S>(how.scale);
  return how.normalize ? scale / std::sqrt(mean) : scale;
}

/// Call begin_keys() before the first key is appended, and finish_keys() after the last.
template <class T>
inline void begin_keys(Strip<T>& strip) {
  strip.count = strip.faulty_count = 0;
}
/// Lists the last key as one whose value v, not finite, is 0 in the strip.
template <class T>
inline void set_faulty(Strip<T>& strip, const T* v) {
  const int64_t j = strip.count - 1;
  std::fill_n(strip.v + j * strip.width, strip.width, T(0));
  strip.faulty[strip.faulty_count] = static_cast<int32_t>(j);
  strip.faulty_value[strip.faulty_count++] = v;
}
/// Appends a key whose factor is known, and whether its value is finite.
template <class T>
inline void append_key(Strip<T>& strip, const T* k, const T* v, int64_t token, Compute<T> factor,
                       bool finite) {
  const int64_t j = strip.count++;
  strip.token[j] = static_cast<int32_t>(token);
  strip.scale[j] = factor;
  copy_row(strip.k + j * strip.width, k, strip.size, strip.width);
  copy_row(strip.v + j * strip.width, v, strip.size, strip.width);
  if (!finite) set_faulty(strip, v);
}
/// Appends a key.
template <class T>
inline void append_key(Strip<T>& strip, const T* k, const T* v, int64_t token,
                       const KeyScale& how) {
  const int64_t j = strip.count++;
  T* const row = strip.k + j * strip.width;
  strip.token[j] = static_cast<int32_t>(token);
  copy_row(row, k, strip.size, strip.width);
  strip.scale[j] = key_factor(mean_square(row, strip.size, strip.width), how);
  if (!pack_row(strip.v + j * strip.width, v, strip.size, strip.width)) set_faulty(strip, v);
}
/// A key that no query sees.
template <class T>
inline void append_nothing(Strip<T>& strip) {
  const int64_t j = strip.count++;
  std::fill_n(strip.k + j * strip.width, strip.width, T(0));
  std::fill_n(strip.v + j * strip.width, strip.width, T(0));
  strip.scale[j] = 0;
  strip.token[j] = 0;
}
template <class T>
inline void finish_keys(Strip<T>& strip) {
  const int64_t room = round_up(strip.count, kKeyUnit<T>);
  for (int64_t j = strip.count; j < room; ++j) {
    std::fill(strip.k + j * strip.width, strip.k + (j + 1) * strip.width, T(0));
    std::fill(strip.v + j * strip.width, strip.v + (j + 1) * strip.width, T(0));
    strip.scale[j] = 0;
  }
#if TENET_HAVE_AVX512
  if constexpr (std::is_same_v<T, bf16>) {
    if (strip.k_sum) pair_rows(strip.k_sum, strip.k, strip.count, room, strip.width);
    if (strip.v_sum) pair_rows(strip.v_sum, strip.v, strip.count, room, strip.width);
  }
#endif
}

/// A panel of queries, or of their outputs' gradients, as the backward products take it.
template <class T>
struct PanelRows {
  T* rows = nullptr;       // [kPanel][width], for the caller to fill
  T* panel = nullptr;      // transpose_panel()
  const T* sum = nullptr;  // as spread() takes it: the rows, or their pairs

  void carve(Carver& carver, int64_t width) {
    rows = carver.take<T>(kPanel<T> * width);
    panel = carver.take<T>(kPanel<T> * width);
    if constexpr (std::is_same_v<T, bf16>) pairs_ = carver.take<T>(kPanel<T> * width);
  }
  /// From these rows, [count][width].
  void turn(const T* from, int64_t count, int64_t width) {
    transpose_panel(panel, from, count, width);
    sum = from;
#if TENET_HAVE_AVX512
    if constexpr (std::is_same_v<T, bf16>) {
      pair_rows(pairs_, from, count, kPanel<T>, width);
      sum = pairs_;
    }
#endif
  }

 private:
  T* pairs_ = nullptr;
};

/// Turns dk, the gradient of a key row as if its normalisation were the constant factor scale, into
/// the row's own: dk - k (k . dk) / (size * mean); `mean` is mean_square()'s.
template <class T>
inline void normalization_gradient(const T* k, Compute<T> mean, int64_t size, int64_t width,
                                   Compute<T>* dk) {
  using S = Compute<T>;
  const Vector<T> along = splat<S>(-dot(k, dk, width) / (static_cast<S>(size) * mean));
  for (int64_t n = 0; n < width; n += kLanes<T>)
    store(dk + n, fma(load(k + n), along, load(dk + n)));
}

}  // namespace tenet::detail::tiles
