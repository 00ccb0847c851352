/// Sorting on the GPU: all rows are sorted as one by their elements, then, stably, by row.
#include <tenet/cuda/detail/radix_sort.h>
#include <tenet/cuda/detail/sort_task.h>
#include <tenet/cuda/detail/task.h>
#include <tenet/ops/sort.h>

namespace tenet::cuda {
namespace {

using namespace tenet::detail;

/// Elements that are sorted at a time, if a row has no more.
constexpr int64_t most_elements = int64_t{1} << 28;

template <class T>
struct Sorting {
  View indices, x;
  bool descending;
  int64_t size, k;
  Indexing<1> at_x, at_indices;

  Sorting(const View& indices_, const View& x_, bool descending_)
      : indices(indices_),
        x(x_),
        descending(descending_),
        size(x.shape.back()),
        k(indices.shape.back()),
        at_x(x.shape, {x}),
        at_indices(indices.shape, {indices}) {}

  void rows(int64_t first, int64_t count) const {
    using Key = SortKey<T>;
    const int64_t elements = count * size;
    NumberedKeys<Key> sorted(elements);
    launch_strided("argsort",
                   SortKeysTask<T>{at_x, first * size, elements, x.as<const T>(), sorted.keys(),
                                   sorted.numbers(), descending ? static_cast<Key>(-1) : Key(0)},
                   elements);
    sorted.sort(8 * sizeof(Key));
    if (count == 1) return write(first, count, sorted.numbers());
    NumberedKeys<uint32_t> by_row(elements);
    launch_strided("argsort",
                   RowKeysTask{elements, size, sorted.numbers(), by_row.keys(), by_row.numbers()},
                   elements);
    by_row.sort(bits_below(count));
    write(first, count, by_row.numbers());
  }

 private:
  void write(int64_t first, int64_t count, const uint32_t* numbers) const {
    launch_strided(
        "argsort",
        SortedPlacesTask{at_indices, first, count, size, k, numbers, indices.as<int64_t>()},
        count * k);
  }
};

void argsort_cuda(View indices, View x, bool descending) {
  if (indices.numel() == 0) return;
  dispatch(AllTypes(), x.dtype, "argsort", [&]<class T>() {
    const Sorting<T> sorting(indices, x, descending);
    const int64_t rows = x.numel() / sorting.size;
    const int64_t together = std::max<int64_t>(most_elements / sorting.size, 1);
    for (int64_t first = 0; first < rows; first += together) {
      sorting.rows(first, std::min(together, rows - first));
    }
  });
}

const bool filled = argsort_kernel.fill(Device::Kind::cuda, &argsort_cuda);

}  // namespace
}  // namespace tenet::cuda
