/// Where the buckets of LSH attention begin, and its blocks of places, on the GPU.
#include <tenet/cuda/detail/lsh_launch.h>

#include <thrust/iterator/counting_iterator.h>
#include <thrust/iterator/transform_iterator.h>
#include <cub/device/device_scan.cuh>
#include <cub/device/device_select.cuh>

namespace tenet::cuda::lsh {

void find_places(const RoundPlaces& places, PlaceSpace& to) {
  const thrust::counting_iterator<int32_t> numbers(0);
  const auto starts = thrust::make_transform_iterator(numbers, BucketStart{places});
  const auto count = static_cast<int32_t>(places.count());
  const bool asked = to.space == nullptr;
  size_t bytes = to.bytes;
  check(
      cub::DeviceScan::InclusiveScan(to.space, bytes, starts, to.begin, Larger{}, count, stream()),
      "lsh_attention");
  if (asked) to.bytes = bytes;
  if (to.first == nullptr) return;
  bytes = to.bytes;
  check(cub::DeviceSelect::If(to.space, bytes, numbers, to.first, to.found, count,
                              BlockStart{places, to.begin}, stream()),
        "lsh_attention");
  if (asked) to.bytes = std::max(to.bytes, bytes);
}

}  // namespace tenet::cuda::lsh
