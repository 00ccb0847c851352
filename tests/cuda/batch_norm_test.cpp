// The GPU's sums over channels and maps of them, against the CPU's kernels.
#include "blocks.h"

#include <doctest/doctest.h>
#include <tenet/cuda/detail/batch_norm_task.h>
#include <tenet/ops/batch_norm.h>

#include <cmath>

using namespace tenet;
using namespace tenet::cuda;
using cuda_test::numbers, cuda_test::run_folds;

namespace {

struct Sizes {
  int64_t images, channels, elements;
};

template <class T>
View channels_view(std::vector<T>& x, const Sizes& s) {
  const Shape shape{s.images, s.channels, s.elements};
  return {x.data(), dtype_of<T>, Device::cpu(), shape, contiguous_strides(shape)};
}
template <class T>
View line_view(std::vector<T>& x) {
  return {x.data(), dtype_of<T>, Device::cpu(), {static_cast<int64_t>(x.size())}, {1}};
}

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// Both kernels that sum_channels() launches.
template <class CellsTask, class End>
void run_sums(CellsTask task, int64_t blocks, int64_t cells, int64_t channels, const End& end) {
  constexpr int sums = std::extent_v<decltype(task.cells)>;
  std::vector<double> space(static_cast<size_t>(sums * cells), std::nan(""));
  ChannelTotalsTask<sums, End> totals{{}, task.places(), end};
  for (int k = 0; k < sums; ++k) totals.cells[k] = task.cells[k] = space.data() + k * cells;
  run_folds(task, blocks, CellsTask::first_half, CellsTask::last_half);
  run_folds(totals, channels, 64, 1);
}
template <class Op, class End>
void sum_channels(const Op& op, const Sizes& s, bool columns, bool vectors, const End& end) {
  constexpr int wide = 16 / static_cast<int>(sizeof(typename Op::Element));
  const ChannelSizes sizes(s.images, s.channels, s.elements);
  if (columns) {
    const int64_t blocks = ceil_div(s.channels * s.elements, 32), each = ceil_div(s.images, 256);
    run_sums(ColumnCellsTask<Op>{op, sizes, {}, blocks, each}, blocks * each,
             s.channels * s.elements * each, s.channels, end);
    return;
  }
  const int64_t each = ceil_div(sizes.count(), 8192), cells = s.channels * each;
  if (vectors) {
    run_sums(PlaneCellsTask<Op, wide>{op, sizes, {}, each}, cells, cells, s.channels, end);
  } else {
    run_sums(PlaneCellsTask<Op, 1>{op, sizes, {}, each}, cells, cells, s.channels, end);
  }
}

template <class T>
void agree(const std::vector<T>& got, const std::vector<T>& expected, double tolerance) {
  for (size_t i = 0; i < got.size(); ++i) {
    const double want = static_cast<double>(expected[i]);
    REQUIRE(std::abs(static_cast<double>(got[i]) - want) <= tolerance * (1 + std::abs(want)));
  }
}

template <class T, int V>
void check_channels(const Sizes& s, bool columns, double tolerance) {
  CAPTURE(s.images);
  CAPTURE(s.channels);
  CAPTURE(s.elements);
  CAPTURE(columns);
  using C = Compute<T>;
  const ChannelSizes sizes(s.images, s.channels, s.elements);
  const int64_t all = s.images * s.channels * s.elements;
  const auto count = static_cast<double>(sizes.count());
  const auto c = static_cast<size_t>(s.channels);
  std::mt19937 random(9);
  auto x = numbers<T>(all, random), dy = numbers<T>(all, random);
  auto weight = numbers<T>(s.channels, random), bias = numbers<T>(s.channels, random);
  std::vector<C> mean(c), variance(c), cpu_mean(c), cpu_variance(c);
  const Device cpu = Device::cpu();
  tenet::detail::channel_statistics_kernel(cpu, line_view(cpu_mean), line_view(cpu_variance),
                                           channels_view(x, s));
  sum_channels(ChannelSum<T>{x.data()}, s, columns, V > 1, WriteMean<C>{mean.data(), count});
  sum_channels(ChannelSquares<T>{x.data(), mean.data()}, s, columns, V > 1,
               WriteMean<C>{variance.data(), count});
  agree(mean, cpu_mean, 1e-6), agree(variance, cpu_variance, 1e-6);

  std::vector<T> y(x.size()), cpu_y(x.size()), dx(x.size()), cpu_dx(x.size());
  std::vector<T> dweight(c), dbias(c), cpu_dweight(c), cpu_dbias(c);
  const double epsilon = 1e-5;
  tenet::detail::channel_norm_kernel(
      cpu, {channels_view(cpu_y, s), channels_view(x, s), line_view(mean), line_view(variance),
            line_view(weight), line_view(bias), epsilon});
  std::vector<C> table;
  for (size_t k = 0; k < c; ++k) {
    const auto r = static_cast<C>(1 / std::sqrt(static_cast<double>(variance[k]) + epsilon));
    table.insert(table.end(), {mean[k], r, static_cast<C>(weight[k]), static_cast<C>(bias[k])});
  }
  const ChannelNormTask<T, V> norm{x.data(), y.data(), table.data(), sizes};
  for (int64_t i = 0; i < all / V; ++i) norm.run(i);
  agree(y, cpu_y, 1e-6);

  tenet::detail::batch_norm_backward_kernel(
      cpu,
      {channels_view(cpu_dx, s), line_view(cpu_dweight), line_view(cpu_dbias), channels_view(dy, s),
       channels_view(x, s), line_view(mean), line_view(variance), line_view(weight), epsilon});
  std::vector<ChannelSlope> slope(c);
  const ChannelGradients<T> op{x.data(), dy.data(), mean.data(), variance.data(), epsilon};
  sum_channels(op, s, columns, V > 1,
               WriteSlope<T>{op, weight.data(), dweight.data(), dbias.data(), slope.data(), count});
  const ChannelNormBackwardTask<T, V> back{x.data(), dy.data(), dx.data(), slope.data(), sizes};
  for (int64_t i = 0; i < all / V; ++i) back.run(i);
  agree(dweight, cpu_dweight, tolerance), agree(dbias, cpu_dbias, tolerance);
  agree(dx, cpu_dx, tolerance);
}

}  // namespace

TEST_CASE("batch normalisation's blocks agree with the CPU's kernels") {
  check_channels<float, 1>({3, 5, 7}, true, 1e-6);
  check_channels<float, 1>({600, 35, 1}, true, 1e-6);
  check_channels<double, 1>({300, 3, 13}, true, 1e-12);
  check_channels<float, 1>({3, 4, 49}, false, 1e-6);
  check_channels<float, 4>({9, 2, 1024}, false, 1e-6);
  check_channels<double, 2>({5, 3, 34}, false, 1e-12);
  check_channels<bf16, 8>({130, 2, 72}, false, 0.01);
  check_channels<f16, 1>({2, 3, 33}, false, 0.002);
}
