/// Patches of images as columns of a matrix, the form in which a convolution is a matrix product.
#pragma once

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
  for (int64_t window = begin; window < end;) {
    const int64_t row = window / columns, first = window % columns;
    const int64_t last = std::min(columns, first + end - window), at = window - begin;
    const int64_t place = w.rows.place(row, i);
    const bool real = place >= 0 && place < w.rows.size;
    const int64_t from = real ? std::clamp(left, first, last) : last;
    const int64_t to = real ? std::clamp(right, from, last) : last;
    if (from > first) outside(at, from - first);
    if (to > from) {
      inside(at + from - first, to - from, place * w.columns.size + w.columns.place(from, j));
    }
    if (last > to) outside(at + to - first, last - to);
    window += last - first;
  }
}

/// A range of patch rows (channel, tap row, tap column) by a range of windows of one image.
struct PatchRange {
  int64_t row, rows;   // row = (channel * KH + i) * KW + j
  int64_t begin, end;  // windows
};

/// patches[r * ld + q] = what patch row r of `range` reads in window q, 0 in the padding.
template <class T>
void gather_patches(const Window& w, const T* image, const PatchRange& range, T* patches,
                    int64_t ld) {
  const int64_t step = w.columns.stride;
  for (int64_t row = range.row; row < range.row + range.rows; ++row, patches += ld) {
    const int64_t tap = row % w.taps();
    const T* plane = image + row / w.taps() * w.plane();
    walk_tap(
        w, tap / w.columns.kernel, tap % w.columns.kernel, range.begin, range.end,
        [=](int64_t at, int64_t n, int64_t place) {
          if (step == 1) {
            std::memcpy(patches + at, plane + place, static_cast<size_t>(n) * sizeof(T));
          } else {
            for (int64_t q = 0; q < n; ++q) patches[at + q] = plane[place + q * step];
          }
        },
        [=](int64_t at, int64_t n) { std::fill_n(patches + at, n, T(0)); });
  }
}

/// Adds each patch element to the element of `image` that it was read from.
template <class T>
void add_patches(const Window& w, T* image, const PatchRange& range, const T* patches, int64_t ld) {
  const int64_t step = w.columns.stride;
  for (int64_t row = range.row; row < range.row + range.rows; ++row, patches += ld) {
    const int64_t tap = row % w.taps();
    T* plane = image + row / w.taps() * w.plane();
    walk_tap(
        w, tap / w.columns.kernel, tap % w.columns.kernel, range.begin, range.end,
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
