/// The GPU side of argmax and argmin.
#include <tenet/cuda/detail/reduce.h>
#include <tenet/ops/reduce.h>

namespace tenet::cuda {
namespace {

using namespace tenet::detail;

template <bool largest>
void extreme_place_cuda(View y, View x) {
  constexpr const char* op = largest ? "argmax" : "argmin";
  dispatch(AllTypes(), x.dtype, op,
           [&]<class T>() { reduce_into<ExtremePlace<largest, T>, int64_t, T>(op, y, x); });
}

constexpr auto cuda = Device::Kind::cuda;
const bool filled = argmax_kernel.fill(cuda, &extreme_place_cuda<true>) &&
                    argmin_kernel.fill(cuda, &extreme_place_cuda<false>);

}  // namespace
}  // namespace tenet::cuda
