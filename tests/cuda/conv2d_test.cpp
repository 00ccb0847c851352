// The index arithmetic of the GPU's convolutions, against loops that say what a convolution is.
#include "blocks.h"

#include <doctest/doctest.h>
#include <tenet/cuda/detail/conv2d_plan.h>
#include <tenet/cuda/detail/depthwise_task.h>
#include <tenet/ops/detail/conv2d_sizes.h>

#include <algorithm>
#include <bit>
#include <cmath>

using namespace tenet;
using namespace tenet::cuda;
using cuda_test::numbers, cuda_test::run_blocks;

namespace {

struct Case {
  int64_t images, groups, channels, outputs, height, width, kernel_height, kernel_width;
  Conv2dOptions options;
};

const Case cases[] = {
    {2, 1, 3, 2, 7, 5, 3, 3, {.padding = 1}},
    {1, 2, 2, 3, 9, 8, 2, 3, {.stride = {2, 1}, .padding = {0, 2}, .dilation = {1, 2}}},
    {3, 1, 1, 1, 4, 4, 1, 1, {}},
    {2, 3, 1, 2, 11, 6, 4, 2, {.stride = {3, 2}, .padding = {3, 1}, .dilation = {2, 1}}},
    {1, 1, 2, 2, 40, 40, 3, 3, {.stride = 2}},
};

tenet::detail::Window window_of(const Case& c) {
  return tenet::detail::conv2d_window({1, 1, c.height, c.width},
                                      {1, 1, c.kernel_height, c.kernel_width}, c.options);
}

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
size_t at(int64_t i) { return static_cast<size_t>(i); }

/// Calls fn(window, tap, element) for every tap of every window that does not lie in the padding.
template <class F>
void for_each_tap(const tenet::detail::Window& w, const F& fn) {
  for (int64_t o = 0; o < w.rows.count(); ++o) {
    for (int64_t p = 0; p < w.columns.count(); ++p) {
      for (int64_t tap = 0; tap < w.taps(); ++tap) {
        const int64_t h = w.rows.place(o, tap / w.columns.kernel);
        const int64_t v = w.columns.place(p, tap % w.columns.kernel);
        if (h < 0 || h >= w.rows.size || v < 0 || v >= w.columns.size) continue;
        fn(o * w.columns.count() + p, tap, h * w.columns.size + v);
      }
    }
  }
}

}  // namespace

TEST_CASE("patches hold what the taps of windows read") {
  std::mt19937 random(3);
  for (const Case& c : cases) {
    const auto w = window_of(c);
    const int64_t rows = c.channels * w.taps(), plane = w.plane();
    const auto x = numbers<float>(c.images * c.groups * c.channels * plane, random);
    for (int64_t begin : {int64_t{0}, w.windows() / 2}) {
      const int64_t windows = w.windows() - begin, row_step = windows + 5;
      std::vector<uint32_t> got(at(c.images * c.groups * rows * row_step), 77), expected = got;
      GatherPatchesTask<uint32_t> task{};
      task.x = reinterpret_cast<const uint32_t*>(x.data()), task.patches = got.data();
      task.taps = Taps(w), task.by_windows = Quotient(windows);
      task.begin = begin, task.rows = rows, task.groups = c.groups;
      task.group_input = c.channels * plane, task.image_input = c.groups * task.group_input;
      task.row_step = row_step, task.group_step = rows * row_step;
      task.image_step = c.groups * task.group_step;
      task.blocks = ceil_div(rows * windows, 1024);
      run_blocks(task, c.images * c.groups * task.blocks, task.threads);

      for (int64_t line = 0; line < c.images * c.groups * rows; ++line) {
        std::fill_n(expected.begin() + line * row_step, windows, 0u);
      }
      for_each_tap(w, [&](int64_t q, int64_t tap, int64_t element) {
        if (q < begin) return;
        for (int64_t p = 0; p < c.images * c.groups * c.channels; ++p) {
          expected[at((p * w.taps() + tap) * row_step + q - begin)] =
              std::bit_cast<uint32_t>(x[at(p * plane + element)]);
        }
      });
      CHECK(got == expected);
    }
  }
}

TEST_CASE("gradients of patches are added to what they were read from") {
  std::mt19937 random(4);
  for (const Case& c : cases) {
    const auto w = window_of(c);
    const int64_t planes = c.images * c.groups * c.channels, plane = w.plane();
    const auto patches = numbers<float>(planes * w.taps() * w.windows(), random);
    std::vector<float> dx(at(planes * plane), 99);
    AddPatchesTask<float> task{};
    task.patches = patches.data(), task.dx = dx.data(), task.taps = Taps(w);
    task.by_plane = SmallQuotient(plane), task.channels = c.channels;
    const int64_t blocks = ceil_div(c.channels * plane, 256);
    task.by_groups = SmallQuotient(c.groups), task.by_blocks = SmallQuotient(blocks);
    task.windows = w.windows(), task.kernel_rows = w.rows.kernel;
    task.group_output = c.channels * plane, task.image_output = c.groups * c.channels * plane;
    run_blocks(task, c.images * c.groups * blocks, task.threads);

    std::vector<double> expected(dx.size());
    for_each_tap(w, [&](int64_t q, int64_t tap, int64_t element) {
      for (int64_t p = 0; p < planes; ++p) {
        expected[at(p * plane + element)] += patches[at((p * w.taps() + tap) * w.windows() + q)];
      }
    });
    for (size_t i = 0; i < dx.size(); ++i) REQUIRE(std::abs(dx[i] - expected[i]) <= 1e-5);
  }
}

TEST_CASE("depthwise: output and both gradients") {
  std::mt19937 random(5);
  for (Case c : cases) {
    c.channels = 1;
    const auto w = window_of(c);
    const int64_t outputs = c.groups * c.outputs, taps = w.taps(), plane = w.plane();
    const int64_t windows = w.windows();
    const auto x = numbers<float>(c.images * c.groups * plane, random);
    const auto dy = numbers<float>(c.images * outputs * windows, random);
    const auto weight = numbers<float>(outputs * taps, random),
               bias = numbers<float>(outputs, random);
    std::vector<float> y(dy.size()), dx(x.size()), dw(weight.size());
    const int64_t out_blocks = ceil_div(windows, 256), in_blocks = ceil_div(plane, 256);
    run_blocks(DepthwiseOutputTask<float>{x.data(), weight.data(), bias.data(), y.data(), Taps(w),
                                          Quotient(c.outputs), outputs, out_blocks, windows},
               c.images * outputs * out_blocks, 256);
    run_blocks(DepthwiseInputTask<float>{dy.data(), weight.data(), dx.data(), Taps(w), c.groups,
                                         c.outputs, windows, in_blocks},
               c.images * c.groups * in_blocks, 256);
    cuda_test::run_folds(
        DepthwiseWeightTask<float>{dy.data(), x.data(), dw.data(), Taps(w), Quotient(c.outputs),
                                   outputs, c.groups, c.images, windows},
        outputs * taps, 128, 1);

    std::vector<double> want_y(y.size()), want_dx(x.size()), want_dw(dw.size());
    for (size_t i = 0; i < y.size(); ++i) want_y[i] = bias[i / at(windows) % at(outputs)];
    for_each_tap(w, [&](int64_t q, int64_t tap, int64_t element) {
      for (int64_t p = 0; p < c.images * outputs; ++p) {
        const size_t in = at(p / c.outputs * plane + element), out = at(p * windows + q);
        const size_t of = at(p % outputs * taps + tap);
        want_y[out] += double{weight[of]} * x[in];
        want_dx[in] += double{weight[of]} * dy[out];
        want_dw[of] += double{dy[out]} * x[in];
      }
    });
    const auto agree = [](const std::vector<float>& got, const std::vector<double>& expected) {
      for (size_t i = 0; i < got.size(); ++i) REQUIRE(std::abs(got[i] - expected[i]) <= 1e-4);
    };
    agree(y, want_y), agree(dx, want_dx), agree(dw, want_dw);
  }
}

TEST_CASE("pieces cover everything once, and cut an image alike whatever the batch") {
  for (int64_t most : {1, 50, 1000, 100000}) {
    const Piece one = Piece::of(most, 1, 3, 7, 10), many = Piece::of(most, 50, 3, 7, 10);
    CHECK((one.groups == many.groups && one.parts == many.parts));
    CHECK(many.images * many.groups * std::min<int64_t>(many.parts, 7) * 10 <=
          std::max<int64_t>(most, 10));
    std::vector<int> seen(50 * 3 * 7);
    for_each_piece(many, 50, 3, 7, [&](const Block& b) {
      for (int64_t i = b.image; i < b.image + b.images; ++i) {
        for (int64_t g = b.group; g < b.group + b.groups; ++g) {
          for (int64_t p = b.part; p < b.part + b.parts; ++p) ++seen[at((i * 3 + g) * 7 + p)];
        }
      }
    });
    CHECK(std::all_of(seen.begin(), seen.end(), [](int count) { return count == 1; }));
  }
}

TEST_CASE("quotients, also of numbers that take more than 31 bits") {
  for (int64_t d : {int64_t{1}, int64_t{7}, int64_t{2147483647}, int64_t{1} << 33}) {
    const Quotient by(d);
    for (int64_t n : {int64_t{0}, int64_t{6}, int64_t{7}, int64_t{2147483647}, int64_t{1} << 40}) {
      CHECK(by(n) == n / d);
    }
  }
}
