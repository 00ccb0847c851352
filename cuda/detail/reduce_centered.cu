/// The GPU side of var and logsumexp: a first pass finds what is taken away from each element.
#include <tenet/cuda/detail/reduce.h>
#include <tenet/ops/reduce.h>

namespace tenet::cuda {
namespace {

using namespace tenet::detail;

void var_cuda(View y, View x, int correction) {
  dispatch(FloatTypes(), x.dtype, "var", [&]<class T>() {
    using C = Compute<T>;
    const Workspace<C> means(y.numel());
    reduce_into<Mean<T>, C, T>("var", like(y, means.data()), x);
    reduce_into<SquaredDeviation<T>, T, T>("var", y, x, FromMean<T>{means.data(), correction});
  });
}

void logsumexp_cuda(View y, View x) {
  dispatch(FloatTypes(), x.dtype, "logsumexp", [&]<class T>() {
    using C = Compute<T>;
    const Workspace<C> largest(y.numel());
    reduce_into<Extreme<true, T>, C, T>("logsumexp", like(y, largest.data()), x);
    reduce_into<LogSumExp<T>, T, T>("logsumexp", y, x, FromLargest<T>{largest.data()});
  });
}

constexpr auto cuda = Device::Kind::cuda;
const bool filled =
    var_kernel.fill(cuda, &var_cuda) && logsumexp_kernel.fill(cuda, &logsumexp_cuda);

}  // namespace
}  // namespace tenet::cuda
