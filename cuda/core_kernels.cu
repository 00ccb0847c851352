/// The kernels that core/ calls, on the GPU.
#include <tenet/core/detail/core_kernels.h>
#include <tenet/cuda/detail/fault.h>
#include <tenet/cuda/detail/indexing.h>
#include <tenet/ops/detail/reduce.h>
#include <tenet/ops/functors.h>

namespace tenet::cuda {
namespace {

template <class T>
__global__ void fill(T* y, Indexing<1> index, int64_t count, T value) {
  for (int64_t i = blockIdx.x * int64_t{blockDim.x} + threadIdx.x; i < count;
       i += int64_t{gridDim.x} * blockDim.x) {
    y[index.places(i).at[0]] = value;
  }
}

void fill_cuda(View to, Scalar value) {
  const auto run = [&]<class T>() {
    launch("fill", &fill<T>, grid_for(to.numel(), 256), 256, 0, to.as<T>(),
           Indexing<1>(to.shape, {to}), to.numel(), T(value.as<Compute<T>>()));
  };
  if (to.dtype == DType::fixed32) return run.template operator()<int32_t>();
  dispatch(AllTypes(), to.dtype, "fill", run);
}

const bool filled = tenet::detail::fill_kernel.fill(Device::Kind::cuda, &fill_cuda);

}  // namespace
}  // namespace tenet::cuda
