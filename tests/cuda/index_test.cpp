#include <cuda/emulated_thread.h>
#include <cuda/same_bits.h>
#include <doctest/doctest.h>
#include <tenet/cuda/detail/index_task.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/index.h>
#include <tenet/ops/views.h>

#include <algorithm>
#include <numeric>

using namespace tenet;
using namespace tenet::test;

namespace {

constexpr Device cpu = Device::cpu();

Tensor numbers(const Shape& shape) {
  Generator generator(17);
  return randn(shape, generator);
}
Tensor places(const Shape& shape, int64_t n) {
  Generator generator(18);
  return randint(shape, 0, n, generator);
}

/// As the radix sort does: stable.
template <class Key>
void sort_pairs(std::vector<Key>& keys, std::vector<uint32_t>& numbers) {
  std::vector<size_t> order(keys.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return keys[a] < keys[b]; });
  const std::vector<Key> keys_before = keys;
  const std::vector<uint32_t> numbers_before = numbers;
  for (size_t i = 0; i < order.size(); ++i) {
    keys[i] = keys_before[order[i]];
    numbers[i] = numbers_before[order[i]];
  }
}

void check_gather_rows(const Tensor& x, int64_t m) {
  const Tensor index = places({m}, x.size(1));
  const Tensor y = empty({x.size(0), m, x.size(2)}), y2 = empty_like(y);
  detail::gather_rows_kernel(cpu, view(y), view(x), view(index));
  const View from = view(x);
  const cuda::GatherRowsTask<float> task{y.numel(),
                                         cuda::RowDivider(x.size(2), y.numel()),
                                         cuda::RowDivider(m, y.numel()),
                                         x.size(1),
                                         from.strides[0],
                                         from.strides[1],
                                         from.strides[2],
                                         view(y2).as<float>(),
                                         from.as<const float>(),
                                         view(index).as<const int64_t>()};
  emulate(task, task.grid(), task.most_threads);
  CHECK(same_bits(y2, y));
}

void check_add_rows(int64_t outer, int64_t n, int64_t inner, const Tensor& src) {
  const int64_t m = src.size(1);
  const Tensor index = places({m}, n), x = numbers({outer, n, inner}), x2 = x.clone();
  detail::add_rows_kernel(cpu, view(x), view(index), view(src));
  const auto count = static_cast<size_t>(m);
  std::vector<uint32_t> keys(count), order(count), begin(static_cast<size_t>(n)), end = begin;
  emulate(cuda::NumberRowsTask{m, n, view(index).as<const int64_t>(), keys.data(), order.data()}, 2,
          256);
  sort_pairs(keys, order);
  emulate(cuda::BoundsTask{m, keys.data(), begin.data(), end.data()}, 2, 256);
  const View to = view(x2), from = view(src);
  const cuda::AddRowsTask<float> task{x2.numel(),
                                      cuda::RowDivider(inner, x2.numel()),
                                      cuda::RowDivider(n, x2.numel()),
                                      to.strides[0],
                                      to.strides[1],
                                      to.strides[2],
                                      from.strides[0],
                                      from.strides[1],
                                      from.strides[2],
                                      to.as<float>(),
                                      from.as<const float>(),
                                      begin.data(),
                                      end.data(),
                                      order.data()};
  emulate(task, task.grid(), task.most_threads);
  CHECK(same_bits(x2, x));
}

/// Along the last axis; x has n elements there.
void check_scatter(const Tensor& src, const Tensor& index, int64_t n) {
  Shape shape = src.shape();
  shape[shape.dim() - 1] = n;
  const Tensor x = numbers(shape), sorted = x.clone(), one_by_one = x.clone();
  detail::scatter_add_kernel(cpu, view(x), view(index), view(src));
  Shape rows = src.shape();
  rows.erase(rows.dim() - 1);
  const View to = view(sorted), at = view(index), from = view(src);
  const cuda::ScatterLines lines{cuda::Indexing<3>(rows, {to, at, from}),
                                 rows.numel(),
                                 src.shape().back(),
                                 n,
                                 to.strides.back(),
                                 at.strides.back(),
                                 from.strides.back()};
  const auto* const indices = at.as<const int64_t>();
  emulate(cuda::ScatterShortTask<float>{lines, view(one_by_one).as<float>(), indices,
                                        from.as<const float>()},
          2, 128);
  CHECK(same_bits(one_by_one, x));
  for (const int64_t together : {int64_t{2}, lines.lines}) {  // lines that are sorted at a time
    const Tensor y = sorted.clone();
    for (int64_t first = 0; first < lines.lines; first += together) {
      const int64_t count = std::min(together, lines.lines - first) * lines.length;
      std::vector<uint64_t> keys(static_cast<size_t>(count));
      std::vector<uint32_t> order(keys.size());
      emulate(cuda::NumberEntriesTask{lines, first, count, indices, keys.data(), order.data()}, 2,
              256);
      sort_pairs(keys, order);
      emulate(cuda::ScatterSortedTask<float>{lines, first, count, keys.data(), order.data(),
                                             view(y).as<float>(), from.as<const float>()},
              2, 128);
    }
    CHECK(same_bits(y, x));
  }
}

}  // namespace

TEST_CASE("rows are read on the GPU as on the CPU") {
  check_gather_rows(numbers({3, 7, 5}), 11);
  check_gather_rows(numbers({1, 40, 64}), 90);
  check_gather_rows(transpose(numbers({2, 6, 30}), 1, 2), 50);
  const Tensor x = numbers({4, 9, 20}), index = places({4, 9, 33}, 20),
               y = empty_like(x, index.shape()), y2 = empty_like(y);
  detail::gather_kernel(cpu, view(y), view(x), view(index));
  View starts = view(x);
  starts.shape = y.shape();
  starts.strides[2] = 0;
  const cuda::GatherTask<uint32_t> task{
      y.numel(),
      cuda::Indexing<3>(y.shape(), {view(y2), starts, view(index)}),
      20,
      1,
      static_cast<uint32_t*>(view(y2).data),
      static_cast<const uint32_t*>(view(x).data),
      view(index).as<const int64_t>()};
  emulate(task, task.grid(), task.most_threads);
  CHECK(same_bits(y2, y));
}

TEST_CASE("rows are added on the GPU in the CPU's order") {
  check_add_rows(1, 5, 40, numbers({1, 300, 40}));
  check_add_rows(3, 50, 1, numbers({3, 20, 1}));
  check_add_rows(2, 3, 7, transpose(numbers({2, 7, 90}), 1, 2));
}

TEST_CASE("scatter_add on the GPU adds in the CPU's order") {
  check_scatter(numbers({5, 70}), places({5, 70}, 6), 6);
  check_scatter(numbers({3, 1}), places({3, 1}, 9), 9);
  check_scatter(transpose(numbers({70, 5}), 0, 1), transpose(places({70, 5}, 40), 0, 1), 40);
  check_scatter(numbers({1, 500}), places({1, 500}, 1), 1);
}
