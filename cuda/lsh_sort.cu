/// The order of positions by bucket, on the GPU: one stable radix sort of many rounds at a time.
#include <tenet/cuda/detail/lsh_sort_task.h>
#include <tenet/cuda/detail/runtime.h>
#include <tenet/ops/attention/lsh_attention.h>

#include <cub/device/device_radix_sort.cuh>

namespace tenet::cuda {
namespace {

using lsh::SortTask;

constexpr int kThreads = 256;
constexpr int64_t kSortedAtOnce = int64_t{1} << 22;  // positions, or one round if it has more

__global__ void make_keys(__grid_constant__ const SortTask t, uint32_t* keys, int32_t* positions) {
  for (int64_t n = blockIdx.x * int64_t{kThreads} + threadIdx.x; n < t.count();
       n += int64_t{gridDim.x} * kThreads) {
    keys[n] = t.key(n);
    positions[n] = t.position(n);
  }
}

__global__ void mark_entries(__grid_constant__ const SortTask t, const uint32_t* keys) {
  int32_t* const order = t.order + t.first * t.L;
  for (int64_t n = blockIdx.x * int64_t{kThreads} + threadIdx.x; n < t.count();
       n += int64_t{gridDim.x} * kThreads) {
    order[n] = t.entry(n, keys, order[n]);
  }
}

/// What the sort needs, with `bytes` of scratch space at `space`; with none, only says how many.
void sort_pairs(const SortTask& t, void* space, size_t& bytes, uint32_t* keys, int32_t* positions) {
  uint32_t* const sorted = keys + t.count();
  check(cub::DeviceRadixSort::SortPairs(space, bytes, keys, sorted, positions,
                                        t.order + t.first * t.L, t.count(), 0, t.bits(), stream()),
        "lsh_sort");
}

void lsh_sort_cuda(const tenet::detail::LshSort& a) {
  const Shape& s = a.bucket.shape;
  SortTask t;
  t.L = s[3], t.HR = s[1] * s[2], t.buckets = a.buckets;
  t.bucket = a.bucket.as<const int32_t>();
  t.mask = a.mask.as<const uint8_t>();
  t.order = a.order.as<int32_t>();
  const int64_t rounds = s[0] * t.HR;
  if (rounds * t.L == 0) return;
  const int64_t keys_fit = (int64_t{1} << 32) / (t.buckets + 1);
  const int64_t most = std::clamp<int64_t>(kSortedAtOnce / t.L, 1, std::min(keys_fit, rounds));
  const Workspace<uint32_t> keys(2 * most * t.L);
  const Workspace<int32_t> positions(most * t.L);
  t.rounds = most;
  size_t bytes = 0;
  sort_pairs(t, nullptr, bytes, keys.data(), positions.data());
  const Workspace<std::byte> space(static_cast<int64_t>(bytes));
  for (; t.first < rounds; t.first += most) {
    t.rounds = std::min(most, rounds - t.first);
    const unsigned grid = grid_for(t.count(), kThreads);
    launch("lsh_sort", &make_keys, grid, kThreads, 0, t, keys.data(), positions.data());
    sort_pairs(t, space.data(), bytes, keys.data(), positions.data());
    launch("lsh_sort", &mark_entries, grid, kThreads, 0, t, keys.data() + t.count());
  }
}

const bool filled = tenet::detail::lsh_sort_kernel.fill(Device::Kind::cuda, &lsh_sort_cuda);

}  // namespace
}  // namespace tenet::cuda
