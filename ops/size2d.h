/// A height and a width, as kernels, strides and paddings over images have them.
#pragma once

#include <tenet/core/detail/formatter.h>

#include <cstdint>

namespace tenet {

/// `3` is 3 x 3; `{3, 5}` is 3 high and 5 wide.
struct Size2d {
  int64_t height, width;  // in elements

  Size2d(int64_t both)  // NOLINT(google-explicit-constructor): `.stride = 2`
      : height(both), width(both) {}
  Size2d(int64_t height_, int64_t width_) : height(height_), width(width_) {}
  friend bool operator==(const Size2d&, const Size2d&) = default;
};

}  // namespace tenet

template <>
struct fmt::formatter<tenet::Size2d> : tenet::detail::TextFormatter {
  auto format(const tenet::Size2d& size, format_context& out) const {
    return write(fmt::format("{} x {}", size.height, size.width), out);
  }
};
