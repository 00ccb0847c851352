#include <cub/device/device_radix_sort.cuh>

#include <tenet/core/error.h>
#include <tenet/cuda/detail/radix_sort.h>

namespace tenet::cuda {

template <class Key>
NumberedKeys<Key>::NumberedKeys(int64_t count)
    : count_(count),
      keys_{Workspace<Key>(count), Workspace<Key>(count)},
      numbers_{Workspace<uint32_t>(count), Workspace<uint32_t>(count)} {
  tenet::check(count < int64_t{1} << 31, "sort: {} elements are too many for one pass on the GPU",
               count);
}

template <class Key>
void NumberedKeys<Key>::sort(int bits) {
  if (count_ == 0 || bits == 0) return;
  const int other = 1 - front_;
  cub::DoubleBuffer<Key> keys(keys_[front_].data(), keys_[other].data());
  cub::DoubleBuffer<uint32_t> numbers(numbers_[front_].data(), numbers_[other].data());
  const auto run = [&](void* scratch, size_t& bytes) {
    check(cub::DeviceRadixSort::SortPairs(scratch, bytes, keys, numbers, static_cast<int>(count_),
                                          0, bits, stream()),
          "sort");
  };
  size_t bytes = 0;
  run(nullptr, bytes);
  const Workspace<unsigned char> scratch(static_cast<int64_t>(bytes));
  run(scratch.data(), bytes);
  if (keys.Current() != keys_[front_].data()) front_ = other;
}

template class NumberedKeys<uint32_t>;
template class NumberedKeys<uint64_t>;

}  // namespace tenet::cuda
