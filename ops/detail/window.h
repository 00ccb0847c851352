/// Windows that slide over an image, for convolutions and pooling.
#pragma once

#include <tenet/core/error.h>
#include <tenet/ops/size2d.h>

#include <algorithm>
#include <cstdint>

namespace tenet::detail {

/// One axis. Tap t of window o reads the input at o * stride + t * dilation - padding; what lies
/// outside [0, size) is padding.
struct WindowAxis {
  int64_t size = 0, kernel = 1, stride = 1, padding = 0, dilation = 1;

  /// How many windows fit; at least 1 after check_window().
  int64_t count() const { return (size + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1; }
  int64_t place(int64_t o, int64_t tap) const { return o * stride + tap * dilation - padding; }
  /// The windows from first_inside(t) up to, not including, first_beyond(t) have tap t inside.
  int64_t first_inside(int64_t tap) const { return windows_before(-place(0, tap)); }
  int64_t first_beyond(int64_t tap) const { return windows_before(size - place(0, tap)); }

 private:
  int64_t windows_before(int64_t distance) const {
    return std::min((std::max<int64_t>(distance, 0) + stride - 1) / stride, count());
  }
};

struct Window {
  WindowAxis rows, columns;

  int64_t windows() const { return rows.count() * columns.count(); }
  int64_t taps() const { return rows.kernel * columns.kernel; }
  /// Elements of one plane of the input.
  int64_t plane() const { return rows.size * columns.size; }
};

/// Error unless every number is in its range and one window at least fits, as
/// `conv2d: kernel 5 x 5 with dilation 1 x 1 is larger than 3 x 3 with padding 0 x 0`.
inline void check_window(const Window& w, const char* op) {
  constexpr int64_t most = INT32_MAX;
  const auto check_range = [&](const char* name, int64_t WindowAxis::*field, int64_t least) {
    const Size2d value{w.rows.*field, w.columns.*field};
    check(
        std::min(value.height, value.width) >= least && std::max(value.height, value.width) <= most,
        "{}: {} is {}; it must be {} to {}", op, name, value, least, most);
  };
  check_range("kernel", &WindowAxis::kernel, 1);
  check_range("stride", &WindowAxis::stride, 1);
  check_range("padding", &WindowAxis::padding, 0);
  check_range("dilation", &WindowAxis::dilation, 1);
  const auto fits = [](const WindowAxis& a) {
    return a.dilation * (a.kernel - 1) < a.size + 2 * a.padding;
  };
  check(fits(w.rows) && fits(w.columns),
        "{}: kernel {} with dilation {} is larger than {} with padding {}", op,
        Size2d(w.rows.kernel, w.columns.kernel), Size2d(w.rows.dilation, w.columns.dilation),
        Size2d(w.rows.size, w.columns.size), Size2d(w.rows.padding, w.columns.padding));
}

}  // namespace tenet::detail
