/// Convolutions of a residual network: Tenet's beside plain loops over the definition, same data,
/// in one run. bench/peers/conv2d_pytorch.py prints the same for PyTorch.
///
/// Per shape: milliseconds (the best of several interleaved repetitions) of y, dx and dw, and of y
/// by loops.
#include "clock.h"

#include <fmt/format.h>

#include <tenet/ops/conv2d.h>
#include <tenet/ops/creation.h>

namespace {

using namespace tenet;

struct Case {
  int64_t images, channels, size, outputs, kernel;
  Conv2dOptions options;
};

const Case cases[] = {{16, 64, 32, 64, 3, {.padding = 1}},
                      {16, 3, 32, 64, 3, {.padding = 1}},
                      {16, 64, 32, 128, 3, {.stride = 2, .padding = 1}},
                      {16, 256, 8, 256, 3, {.padding = 1}},
                      {16, 512, 4, 512, 3, {.padding = 1}},
                      {16, 64, 32, 256, 1, {}},
                      {1, 64, 32, 64, 3, {.padding = 1}},
                      {16, 64, 32, 64, 3, {.padding = 1, .groups = 64}}};

/// The definition, with the loop over columns innermost so that it becomes vector code.
void loops(View y, View x, View w, const Conv2dOptions& o) {
  const int64_t per_group = y.shape[1] / o.groups, height = x.shape[2], width = x.shape[3];
  parallel_for(y.shape[0] * y.shape[1], 1, [&](int64_t begin, int64_t end) {
    for (int64_t plane = begin; plane < end; ++plane) {
      const int64_t image = plane / y.shape[1], output = plane % y.shape[1];
      float* const to = y.as<float>() + plane * y.shape[2] * y.shape[3];
      std::fill_n(to, y.shape[2] * y.shape[3], 0.0F);
      const float* weight = w.as<const float>() + output * w.strides[0];
      for (int64_t c = 0; c < w.shape[1]; ++c) {
        const float* from = x.as<const float>() + image * x.strides[0] +
                            (output / per_group * w.shape[1] + c) * x.strides[1];
        for (int64_t i = 0; i < w.shape[2]; ++i) {
          for (int64_t j = 0; j < w.shape[3]; ++j, ++weight) {
            for (int64_t row = 0; row < y.shape[2]; ++row) {
              const int64_t at = row * o.stride.height + i - o.padding.height;
              if (at < 0 || at >= height) continue;
              const int64_t shift = j - o.padding.width, step = o.stride.width;
              int64_t column = 0, last = y.shape[3];
              while (column < last && column * step + shift < 0) ++column;
              while (last > column && (last - 1) * step + shift >= width) --last;
              for (; column < last; ++column) {
                to[row * y.shape[3] + column] += *weight * from[at * width + column * step + shift];
              }
            }
          }
        }
      }
    }
  });
}

void measure(const Case& c, DType dtype) {
  const Shape shape{c.images, c.channels, c.size, c.size};
  const Tensor x = randn(shape).to(dtype);
  const Tensor w = randn({c.outputs, c.channels / c.options.groups, c.kernel, c.kernel}).to(dtype);
  const Tensor y = conv2d(x, w, {}, c.options), dy = randn(y.shape()).to(dtype);
  const Tensor dx = empty_like(x), dw = empty_like(w);
  double best[4] = {1e9, 1e9, 1e9, 1e9};
  for (int round = 0; round < 15; ++round) {
    const auto time = [&](int i, auto&& run) {
      best[i] = std::min(best[i], 1e3 * seconds_of(1, run));
    };
    time(0, [&] { detail::conv2d_kernel({}, view(y), view(x), view(w), View(), c.options); });
    time(1, [&] { detail::conv2d_input_kernel({}, view(dx), view(dy), view(w), c.options); });
    time(2, [&] { detail::conv2d_weight_kernel({}, view(dw), view(dy), view(x), c.options); });
    if (round < 3 && dtype == DType::f32) {
      time(3, [&] { loops(view(y), view(x), view(w), c.options); });
    }
  }
  const double flops = 2.0 * static_cast<double>(y.numel() * w.numel() / c.outputs);
  fmt::print(
      "{:4} {:2} x {:3} x {:2}^2 -> {:3}, {}, stride {}, groups {:2}: y {:7.2f}  dx {:7.2f}"
      "  dw {:7.2f} ms ({:5.0f} GFLOP/s)",
      to_string(dtype), c.images, c.channels, c.size, c.outputs, Size2d(c.kernel), c.options.stride,
      c.options.groups, best[0], best[1], best[2], flops / best[0] * 1e-6);
  if (dtype == DType::f32)
    fmt::print("  loops y {:7.2f}, {:.1f} times", best[3], best[3] / best[0]);
  fmt::print("\n");
}

}  // namespace

int main() {
  fmt::print("{} threads\n", num_threads());
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (const Case& c : cases) measure(c, dtype);
  }
}
