/// Strip: consecutive keys and their values, copied into a kernel's scratch space.
#pragma once

#include <tenet/ops/attention/detail/pack.h>

#include <cmath>

namespace tenet::detail::tiles {

/// Consecutive keys in a kernel's scratch space. Rows are `width` long, zero beyond `size` and
/// beyond `count` keys.
template <class T>
struct Strip {
  int64_t count = 0, size = 0, width = 0;
  T* k = nullptr;            // not normalised
  T* v = nullptr;            // rows that are not finite are 0 here and listed in `faulty`
  T* scale = nullptr;        // what multiplies the scores of each key
  int32_t* token = nullptr;  // position in the sequence
  int64_t faulty_count = 0;
  int32_t* faulty = nullptr;
  const T** faulty_value = nullptr;
};

/// Room for `keys` keys.
template <class T>
Strip<T> carve_strip(Carver& carver, int64_t keys, int64_t size) {
  Strip<T> strip;
  const int64_t room = round_up(keys, kRows<T>);
  strip.size = size;
  strip.width = round_up(size, kLanes<T>);
  strip.k = carver.take<T>(room * strip.width);
  strip.v = carver.take<T>(room * strip.width);
  strip.scale = carver.take<T>(room);
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

/// What is added to the mean square of a key before the root, as in the authors' code.
inline constexpr double kKeyEpsilon = 1e-6;

/// Appends a key. Call begin_keys() before the first and finish_keys() after
/// the last.
template <class T>
inline void begin_keys(Strip<T>& strip) {
  strip.count = strip.faulty_count = 0;
}
template <class T>
inline void append_key(Strip<T>& strip, const T* k, const T* v, int64_t token,
                       const KeyScale& how) {
  const int64_t j = strip.count++;
  T* const k_row = strip.k + j * strip.width;
  T* const v_row = strip.v + j * strip.width;
  strip.token[j] = static_cast<int32_t>(token);
  strip.scale[j] = static_cast<T>(how.scale);
  pack_row(k_row, k, strip.size, strip.width);
  if (how.normalize) {
    const T mean = square_sum(k_row, strip.width) / static_cast<T>(strip.size);
    strip.scale[j] = static_cast<T>(how.scale) / std::sqrt(mean + static_cast<T>(kKeyEpsilon));
  }
  if (pack_row(v_row, v, strip.size, strip.width)) return;
  std::fill(v_row, v_row + strip.width, T(0));
  strip.faulty[strip.faulty_count] = static_cast<int32_t>(j);
  strip.faulty_value[strip.faulty_count++] = v;
}
template <class T>
inline void finish_keys(Strip<T>& strip) {
  for (int64_t j = strip.count; j < round_up(strip.count, kRows<T>); ++j) {
    std::fill(strip.k + j * strip.width, strip.k + (j + 1) * strip.width, T(0));
    std::fill(strip.v + j * strip.width, strip.v + (j + 1) * strip.width, T(0));
    strip.scale[j] = 0;
  }
}

/// Turns dk, the gradient of a key row as if its normalisation were the constant factor scale, into
/// the row's own: dk - k (k . dk) / (size * (mean(k^2) + epsilon)).
template <class T>
inline void normalization_gradient(const T* k, int64_t size, int64_t width, T* dk) {
  const T mean = square_sum(k, width) / static_cast<T>(size) + static_cast<T>(kKeyEpsilon);
  const Vector<T> along = splat<T>(-dot(k, dk, width) / (static_cast<T>(size) * mean));
  for (int64_t n = 0; n < width; n += kLanes<T>)
    store(dk + n, fma(load(k + n), along, load(dk + n)));
}

}  // namespace tenet::detail::tiles
