#include <cuda/emulated_thread.h>
#include <cuda/same_bits.h>
#include <doctest/doctest.h>
#include <tenet/cuda/detail/cumsum_task.h>
#include <tenet/cuda/detail/sort_task.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/reduce.h>
#include <tenet/ops/sort.h>
#include <tenet/ops/views.h>

#include <algorithm>
#include <cmath>
#include <numeric>

using namespace tenet;
using namespace tenet::test;

namespace {

/// The numbers in the order of their keys, stably, as the radix sort gives them.
template <class Key>
std::vector<uint32_t> sorted(const std::vector<Key>& keys, const std::vector<uint32_t>& numbers) {
  std::vector<size_t> order(keys.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return keys[a] < keys[b]; });
  std::vector<uint32_t> result;
  for (const size_t i : order) result.push_back(numbers[i]);
  return result;
}

template <class T>
void check_argsort(const Tensor& x, bool descending) {
  using Key = cuda::SortKey<T>;
  const Tensor expected = argsort(x, -1, descending).contiguous(), indices = empty_like(expected);
  const int64_t size = x.shape().back(), rows = x.numel() / size;
  const cuda::Indexing<1> at_x(x.shape(), {view(x)}), at(indices.shape(), {view(indices)});
  for (int64_t first = 0; first < rows; first += 2) {
    const int64_t here = std::min<int64_t>(2, rows - first), count = here * size;
    std::vector<Key> keys(static_cast<size_t>(count));
    std::vector<uint32_t> numbers(keys.size()), row_keys(keys.size());
    emulate(cuda::SortKeysTask<T>{at_x, first * size, count, view(x).as<const T>(), keys.data(),
                                  numbers.data(), descending ? static_cast<Key>(-1) : Key(0)},
            2, 64);
    const std::vector<uint32_t> by_key = sorted(keys, numbers);
    emulate(cuda::RowKeysTask{count, size, by_key.data(), row_keys.data(), numbers.data()}, 2, 64);
    const std::vector<uint32_t> by_row = sorted(row_keys, numbers);
    emulate(cuda::SortedPlacesTask{at, first, here, size, size, by_row.data(),
                                   view(indices).as<int64_t>()},
            2, 64);
  }
  CHECK(same_bits(indices, expected));
}

template <class T>
void check_both(const Tensor& x) {
  check_argsort<T>(x, false);
  check_argsort<T>(x, true);
}

Tensor numbers(const Shape& shape) {
  Generator generator(29);
  return randn(shape, generator);
}

template <class T, class Out = T>
Tensor cumsum_emulated(const Tensor& x) {
  const Tensor y = empty(x.shape(), {dtype_of<Out>, Device::cpu()});
  const cuda::CumsumRows rows(view(y), view(x));
  const T* const from = view(x).as<const T>();
  if (rows.size <= rows.short_row) {
    emulate(cuda::CumsumShortTask<Out, T>{rows, view(y).as<Out>(), from}, 2, 32);
    return y;
  }
  using Task = cuda::CumsumChunkTask<Out, T>;
  std::vector<typename Task::Total> sums(static_cast<size_t>(rows.rows * rows.chunks()));
  Task task{rows, nullptr, from, sums.data()};
  emulate(task, task.grid(), task.most_threads, task.shared_bytes);
  emulate(cuda::CumsumCarryTask<typename Task::Total>{rows.rows, rows.chunks(), sums.data()}, 2,
          32);
  task.y = view(y).as<Out>();
  emulate(task, task.grid(), task.most_threads, task.shared_bytes);
  return y;
}

}  // namespace

TEST_CASE("argsort on the GPU has the CPU's order") {
  check_both<float>(numbers({5, 70}));
  check_both<float>(transpose(numbers({30, 3}), 0, 1));
  check_both<double>(numbers({3, 40}).to(DType::f64));
  check_both<bf16>(numbers({3, 90}).to(DType::bf16));
  Generator generator(31);
  check_both<int32_t>(randint({4, 50}, -3, 3, generator).to(DType::i32));
  check_both<int64_t>(randint({4, 50}, -3, 3, generator));
  check_both<uint8_t>(randint({4, 50}, 0, 255, generator).to(DType::u8));
  check_both<bool>(randint({4, 50}, 0, 2, generator).to(DType::boolean));
  const Tensor x = numbers({1, 40});
  for (const int i : {3, 9, 30}) view(x).as<float>()[i] = NAN;
  view(x).as<float>()[5] = 0.0f;
  view(x).as<float>()[8] = -0.0f;
  view(x).as<float>()[11] = 0.0f;
  view(x).as<float>()[12] = -INFINITY;
  check_both<float>(x);
}

TEST_CASE("cumsum on the GPU agrees with the CPU's") {
  for (const int64_t n : {1, 64, 65, 2048, 2049, 9000}) {
    const Tensor x = numbers({3, n}), y = cumsum(x, -1);
    CHECK(same_bits(cumsum_emulated<float>(x), y));
    Generator generator(37);
    const Tensor counts = randint({2, n}, -9, 9, generator);
    CHECK(same_bits((cumsum_emulated<int64_t, int64_t>(counts)), cumsum(counts, -1)));
  }
}
