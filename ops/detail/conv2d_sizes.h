/// What the kernels of a convolution know of its sizes.
#pragma once

#include <tenet/core/view.h>
#include <tenet/ops/conv2d.h>
#include <tenet/ops/detail/window.h>

namespace tenet::detail {

/// The window of weights of shape `w` on images of shape `x`.
inline Window conv2d_window(const Shape& x, const Shape& w, const Conv2dOptions& o) {
  return {{x[2], w[2], o.stride.height, o.padding.height, o.dilation.height},
          {x[3], w[3], o.stride.width, o.padding.width, o.dilation.width}};
}

struct ConvSizes {
  Window window;
  int64_t images, groups, channels, outputs;  // the latter two of one group
  int64_t windows, taps;                      // of one image; of one channel
  int64_t rows;                               // patch rows of one group: channels * taps

  ConvSizes(const View& x, const View& w, const View& y, const Conv2dOptions& o)
      : window(conv2d_window(x.shape, w.shape, o)),
        images(x.shape[0]),
        groups(o.groups),
        channels(w.shape[1]),
        outputs(y.shape[1] / o.groups),
        windows(window.windows()),
        taps(window.taps()),
        rows(channels * taps) {}

  /// Where a group's channels of an image begin in x, and in y.
  int64_t input(int64_t image, int64_t group) const {
    return (image * groups + group) * channels * window.plane();
  }
  int64_t output(int64_t image, int64_t group) const {
    return (image * groups + group) * outputs * windows;
  }
};

}  // namespace tenet::detail
