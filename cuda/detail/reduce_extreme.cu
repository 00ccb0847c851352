/// The GPU side of max and min.
#include <tenet/cuda/detail/reduce.h>
#include <tenet/ops/reduce.h>

namespace tenet::cuda {
namespace {

using namespace tenet::detail;

template <bool largest>
void extreme_cuda(View y, View x) {
  constexpr const char* op = largest ? "max" : "min";
  dispatch(AllTypes(), x.dtype, op,
           [&]<class T>() { reduce_into<Extreme<largest, T>, T, T>(op, y, x); });
}

constexpr auto cuda = Device::Kind::cuda;
const bool filled =
    max_kernel.fill(cuda, &extreme_cuda<true>) && min_kernel.fill(cuda, &extreme_cuda<false>);

}  // namespace
}  // namespace tenet::cuda
