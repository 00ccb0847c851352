/// Patches of images as columns of a matrix, and back. Plain C++ but for TENET_HD.
#pragma once

#include <tenet/core/dtype.h>
#include <tenet/core/macros.h>
#include <tenet/cuda/detail/indexing.h>
#include <tenet/ops/detail/window.h>

namespace tenet::cuda {

/// Division of numbers that are mostly below 2^31 by a fixed one.
class Quotient {
 public:
  Quotient() = default;
  explicit Quotient(int64_t divisor)
      : divisor_(divisor),
        fast_(divisor <= most ? Divider(static_cast<uint32_t>(divisor)) : Divider()) {}
  TENET_HD int64_t operator()(int64_t n) const {
    if (n <= most && divisor_ <= most) return fast_.divide(static_cast<uint32_t>(n));
    return n / divisor_;
  }
  TENET_HD int64_t divisor() const { return divisor_; }

 private:
  static constexpr int64_t most = std::numeric_limits<int32_t>::max();
  int64_t divisor_ = 1;
  Divider fast_;
};

/// The same where check_taps() has seen that all are below 2^31.
class SmallQuotient {
 public:
  SmallQuotient() = default;
  explicit SmallQuotient(int64_t divisor) : by_(static_cast<uint32_t>(divisor)) {}
  TENET_HD int64_t operator()(int64_t n) const { return by_.divide(static_cast<uint32_t>(n)); }
  TENET_HD int64_t divisor() const { return by_.divisor(); }

 private:
  Divider by_;
};

/// Error unless a group's patch rows, the windows, the elements of a plane and both axes with their
/// padding can be counted in 31 bits.
inline void check_taps(const tenet::detail::Window& w, int64_t channels) {
  const auto reach = [](const tenet::detail::WindowAxis& a) { return a.size + 2 * a.padding; };
  const int64_t largest =
      std::max({w.taps() * channels, w.windows(), w.plane(), reach(w.rows), reach(w.columns)});
  check(largest < int64_t{1} << 31, "conv2d: {} windows of {} elements are too many for cuda",
        w.windows(), w.taps() * channels);
}

/// One axis of a window, as kernels need it.
struct TapAxis {
  int64_t size = 1, stride = 1, padding = 0, dilation = 1, count = 1;
  SmallQuotient by_stride = SmallQuotient(1);

  TapAxis() = default;
  explicit TapAxis(const tenet::detail::WindowAxis& a)
      : size(a.size), stride(a.stride), padding(a.padding), dilation(a.dilation), count(a.count()) {
    by_stride = SmallQuotient(stride);
  }
  /// Where tap t of window o reads; outside [0, size) is padding.
  TENET_HD int64_t place(int64_t o, int64_t tap) const {
    return o * stride + tap * dilation - padding;
  }
  TENET_HD bool inside(int64_t place) const { return place >= 0 && place < size; }
  /// The window whose tap t reads `place`, or -1 where there is none.
  TENET_HD int64_t window(int64_t place, int64_t tap) const {
    const int64_t from = place + padding - tap * dilation;
    if (from < 0) return -1;
    const int64_t o = by_stride(from);
    return o * stride == from && o < count ? o : -1;
  }
};

/// Both axes, and how numbers of taps, windows and elements fall apart into them.
struct Taps {
  TapAxis rows, columns;
  SmallQuotient by_taps, by_kernel, by_columns, by_width;  // taps a plane, and of a row of it

  Taps() = default;
  explicit Taps(const tenet::detail::Window& w)
      : rows(w.rows),
        columns(w.columns),
        by_taps(w.taps()),
        by_kernel(w.columns.kernel),
        by_columns(w.columns.count()),
        by_width(std::max<int64_t>(w.columns.size, 1)) {}
  TENET_HD int64_t plane() const { return rows.size * columns.size; }
};

/// patches[image, group, row, q] = what patch row `row` = (channel * KH + i) * KW + j of a group
/// reads in window begin + q, 0 in the padding. Word has the size of an element. A block has 256
/// threads and 1,024 elements of one group of one image.
template <class Word>
struct GatherPatchesTask {
  static constexpr int threads = 256, each = 4;

  const Word* x;  // (images, groups, channels, H, W)
  Word* patches;
  Taps taps;
  Quotient by_windows;               // how many there are
  int64_t begin, rows, groups;       // the first window; patch rows of a group; groups taken
  int64_t image_input, group_input;  // from one image, or group, to the next
  int64_t image_step, group_step, row_step;
  int64_t blocks;  // of one group of one image

  TENET_HD void run(int64_t block, int thread) const {
    const int64_t sheet = block / blocks, image = sheet / groups, group = sheet % groups;
    const Word* const from = x + image * image_input + group * group_input;
    Word* const to = patches + image * image_step + group * group_step;
    const int64_t first = (block - sheet * blocks) * (threads * each) + thread;
    const int64_t windows = by_windows.divisor();
    for (int k = 0; k < each; ++k) {
      const int64_t i = first + k * threads;
      if (i >= rows * windows) return;
      const int64_t row = by_windows(i), q = i - row * windows;
      to[row * row_step + q] = read(from, row, begin + q);
    }
  }

 private:
  TENET_HD Word read(const Word* from, int64_t row, int64_t window) const {
    const int64_t channel = taps.by_taps(row), tap = row - channel * taps.by_taps.divisor();
    const int64_t i = taps.by_kernel(tap), j = tap - i * taps.by_kernel.divisor();
    const int64_t o = taps.by_columns(window), p = window - o * taps.by_columns.divisor();
    const int64_t h = taps.rows.place(o, i), w = taps.columns.place(p, j);
    if (!taps.rows.inside(h) || !taps.columns.inside(w)) return Word(0);
    return from[channel * taps.plane() + h * taps.columns.size + w];
  }
};

/// dx[image, group, channel, h, w] = the sum over taps, in order, of the patch element that was
/// read from there. A block has 256 threads and 256 elements of some channels of one group of one
/// image.
template <class T>
struct AddPatchesTask {
  using C = Compute<T>;
  static constexpr int threads = 256;

  const C* patches;  // (images, groups, channels * taps, windows), without gaps
  T* dx;
  Taps taps;
  SmallQuotient by_plane;              // channels * plane is below 2^31, too
  SmallQuotient by_groups, by_blocks;  // blocks of one group of one image
  int64_t channels, windows;
  int64_t kernel_rows;
  int64_t image_output, group_output;  // in dx, from one image, or group, to the next

  TENET_HD void run(int64_t block, int thread) const {
    const int64_t sheet = by_blocks(block), image = by_groups(sheet);
    const int64_t group = sheet - image * by_groups.divisor();
    const int64_t i = (block - sheet * by_blocks.divisor()) * threads + thread;
    const int64_t plane = by_plane.divisor();
    if (i >= channels * plane) return;
    const int64_t channel = by_plane(i), at = i - channel * plane;
    const int64_t h = taps.by_width(at), w = at - h * taps.by_width.divisor();
    const int64_t count = taps.by_taps.divisor();
    const C* const from = patches + (sheet * channels + channel) * count * windows;
    dx[image * image_output + group * group_output + i] = T(sum(from, h, w));
  }

 private:
  TENET_HD C sum(const C* from, int64_t h, int64_t w) const {
    C total = 0;
    const int64_t kernel_columns = taps.by_kernel.divisor();
    for (int64_t i = 0; i < kernel_rows; ++i) {
      const int64_t o = taps.rows.window(h, i);
      if (o < 0) continue;
      for (int64_t j = 0; j < kernel_columns; ++j) {
        const int64_t p = taps.columns.window(w, j);
        if (p < 0) continue;
        total += from[(i * kernel_columns + j) * windows + o * taps.columns.count + p];
      }
    }
    return total;
  }
};

}  // namespace tenet::cuda
