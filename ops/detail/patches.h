/// Patches of images as columns of a matrix, the form in which a convolution is a matrix product.
#pragma once

#include <tenet/ops/detail/loop.h>
#include <tenet/ops/detail/window.h>

#include <cstring>

namespace tenet::detail {

/// Calls inside(at, n, place) and outside(at, n) on stretches of the windows [begin, end), taken
/// row by row: tap (i, j) of windows begin + at, ..., begin + at + n - 1 reads the plane's elements
/// place, place + w.columns.stride, ..., or lies in the padding.
template <class Inside, class Outside>
void walk_tap(const Window& w, int64_t i, int64_t j, int64_t begin, int64_t end,
              const Inside& inside, const Outside& outside) {
  const int64_t columns = w.columns.count();
  const int64_t left = w.columns.first_inside(j), right = w.columns.first_beyond(j);
  const int64_t down = w.rows.stride, height = w.rows.size, width = w.columns.size;
  const int64_t across = w.columns.stride, shift = w.columns.place(0, j);
  int64_t first = begin % columns, place = w.rows.place(begin / columns, i);
  for (int64_t at = 0; at < end - begin; first = 0, place += down) {
    const int64_t last = std::min(columns, first + (end - begin) - at);
    const bool real = place >= 0 && place < height;
    const int64_t from = real ? std::clamp(left, first, last) : last;
    const int64_t to = real ? std::clamp(right, from, last) : last;
    if (from > first) outside(at, from - first);
    if (to > from) inside(at + from - first, to - from, place * width + from * across + shift);
    if (last > to) outside(at + to - first, last - to);
    at += last - first;
  }
}

/// A range of patch rows (channel, tap row, tap column) by a range of windows of one image.
struct PatchRange {
  int64_t row, rows;   // row = (channel * KH + i) * KW + j
  int64_t begin, end;  // windows
};

/// to[i] = from[i], i < n: a few elements mostly, too few for a call.
template <class T>
[[gnu::always_inline]] inline void copy_stretch(T* to, const T* from, int64_t n) {
  constexpr int64_t some = 32 / static_cast<int64_t>(sizeof(T));
  if (n < some) {
    for (int64_t i = 0; i < n; ++i) to[i] = from[i];
    return;
  }
  int64_t i = 0;
  for (; i + some <= n; i += some) std::memcpy(to + i, from + i, 32);
  std::memcpy(to + n - some, from + n - some, 32);
}

/// Whether windows lie as the plane's elements do: a tap then reads what is a fixed step away.
inline bool windows_like_plane(const Window& w) {
  return w.rows.stride == 1 && w.columns.stride == 1 && w.columns.count() == w.columns.size;
}

/// There, tap (i, j) of the windows [from, to) reads the elements [from + shift, to + shift), apart
/// from windows at a side whose tap lies in the padding; of all others it lies above or below.
struct ShiftedTap {
  int64_t from, to, shift;

  ShiftedTap(const Window& w, int64_t i, int64_t j, int64_t begin, int64_t end) {
    const int64_t width = w.columns.size, down = w.rows.place(0, i);
    shift = down * width + w.columns.place(0, j);
    from = std::clamp(std::max(-down * width, -shift), begin, end);
    to = std::clamp(std::min((w.rows.size - down) * width, w.plane() - shift), from, end);
  }
};

/// patch[q - begin] = 0 for the windows q at a side whose tap column j lies in the padding.
template <class T>
void clear_sides(const Window& w, int64_t j, int64_t begin, int64_t end, T* patch) {
  const int64_t width = w.columns.size;
  const int64_t left = w.columns.first_inside(j), right = w.columns.first_beyond(j);
  const auto clear = [=](int64_t from, int64_t to) {
    from = std::max(from, begin), to = std::min(to, end);
    if (from >= to) return;
    patch[from - begin] = T(0);  // mostly the only one
    if (to - from > 1) std::fill_n(patch + from + 1 - begin, to - from - 1, T(0));
  };
  for (int64_t row = begin - begin % width; row < end && left > 0; row += width) {
    clear(row, row + left);
  }
  for (int64_t row = begin - begin % width; row < end && right < width; row += width) {
    clear(row + right, row + width);
  }
}

/// patches[r * ld + q] = what patch row r of `range` reads in window q, 0 in the padding.
template <class T>
void gather_patches(const Window& w, const T* image, const PatchRange& range, T* patches,
                    int64_t ld) {
  const int64_t step = w.columns.stride, begin = range.begin, end = range.end;
  const bool alike = windows_like_plane(w);
  for (int64_t row = range.row; row < range.row + range.rows; ++row, patches += ld) {
    const int64_t tap = row % w.taps(), i = tap / w.columns.kernel, j = tap % w.columns.kernel;
    const T* plane = image + row / w.taps() * w.plane();
    if (alike) {
      const ShiftedTap t(w, i, j, begin, end);
      std::fill_n(patches, t.from - begin, T(0));
      std::copy(plane + t.from + t.shift, plane + t.to + t.shift, patches + t.from - begin);
      std::fill_n(patches + t.to - begin, end - t.to, T(0));
      clear_sides(w, j, begin, end, patches);
      continue;
    }
    walk_tap(
        w, i, j, range.begin, range.end,
        [=](int64_t at, int64_t n, int64_t place) {
          if (step == 1) {
            copy_stretch(patches + at, plane + place, n);
          } else {
            for (int64_t q = 0; q < n; ++q) patches[at + q] = plane[place + q * step];
          }
        },
        [=](int64_t at, int64_t n) {
          patches[at] = T(0);  // mostly the only one
          if (n > 1) std::fill_n(patches + at + 1, n - 1, T(0));
        });
  }
}

/// Adds each patch element to the element of `image` that it was read from; what belongs to the
/// padding is lost.
template <class T>
void add_patches(const Window& w, T* image, const PatchRange& range, T* patches, int64_t ld) {
  const int64_t step = w.columns.stride, begin = range.begin, end = range.end;
  const bool alike = windows_like_plane(w);
  for (int64_t row = range.row; row < range.row + range.rows; ++row, patches += ld) {
    const int64_t tap = row % w.taps(), i = tap / w.columns.kernel, j = tap % w.columns.kernel;
    T* plane = image + row / w.taps() * w.plane();
    if (alike) {
      const ShiftedTap t(w, i, j, begin, end);
      clear_sides(w, j, begin, end, patches);
      T* const to = plane + t.shift;
      TENET_IVDEP
      for (int64_t q = t.from; q < t.to; ++q) to[q] += patches[q - begin];
      continue;
    }
    walk_tap(
        w, i, j, range.begin, range.end,
        [=](int64_t at, int64_t n, int64_t place) {
          if (step == 1) {
            for (int64_t q = 0; q < n; ++q) plane[place + q] += patches[at + q];
          } else {
            for (int64_t q = 0; q < n; ++q) plane[place + q * step] += patches[at + q];
          }
        },
        [](int64_t, int64_t) {});
  }
}

}  // namespace tenet::detail
