/// The buckets of LSH attention, on the GPU.
#include <tenet/cuda/detail/lsh_hash_task.h>
#include <tenet/cuda/detail/runtime.h>
#include <tenet/ops/attention/lsh_attention.h>

namespace tenet::cuda {
namespace {

template <class T>
__global__ void __launch_bounds__(lsh::hash_threads, sizeof(Compute<T>) == 4 ? 4 : 3)
    hash(__grid_constant__ const lsh::HashTask<T> t) {
  __shared__ lsh::HashShared<Compute<T>> shared;
  lsh::hash_tile<Gpu>(t, shared);
}

template <class T>
void hash_as(const View& bucket, const View& qk, const View& rotations,
             const std::vector<int64_t>& factors) {
  lsh::HashTask<T> t;
  t.H = qk.shape[1], t.L = qk.shape[2], t.R = bucket.shape[2];
  t.size = static_cast<int>(qk.shape[3]);
  for (const int64_t factor : factors) {
    t.columns[t.factors++] = static_cast<int32_t>(factor / 2);
    t.half += factor / 2;
  }
  t.q = lsh::head_rows<const T>(qk);
  t.rotation = rotations.as<const Compute<T>>();
  t.bucket = bucket.as<int32_t>();
  launch("lsh_hash", &hash<T>, blocks_of(qk.shape[0] * t.H * t.R * t.tiles(), "lsh_hash"),
         lsh::hash_threads, 0, t);
}

void lsh_hash_cuda(View bucket, View qk, View rotations, const std::vector<int64_t>& factors) {
  dispatch(FloatTypes{}, qk.dtype, "lsh_hash",
           [&]<class T>() { hash_as<T>(bucket, qk, rotations, factors); });
}

const bool filled = tenet::detail::lsh_hash_kernel.fill(Device::Kind::cuda, &lsh_hash_cuda);

}  // namespace
}  // namespace tenet::cuda
