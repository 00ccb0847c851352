/// The GPU side of sums; extremes and what needs two passes are in cuda/detail/.
#include <tenet/core/detail/core_kernels.h>
#include <tenet/cuda/detail/reduce.h>
#include <tenet/ops/reduce.h>

namespace tenet::cuda {
namespace {

using namespace tenet::detail;

template <template <class> class F>
void reduce_floats(const char* op, View y, View x) {
  dispatch(FloatTypes(), x.dtype, op, [&]<class T>() { reduce_into<F<T>, T, T>(op, y, x); });
}

void sum_cuda(View y, View x) {
  dispatch(AllTypes(), x.dtype, "sum", [&]<class T>() {
    using Out = std::conditional_t<is_float_type<T>, T, int64_t>;
    reduce_into<Sum<T>, Out, T>("sum", y, x);
  });
}

void sum_to_cuda(View to, View from) {
  dispatch(NumberTypes(), from.dtype, "sum_to",
           [&]<class T>() { reduce_into<Sum<T>, T, T>("sum_to", to, from); });
}

void mean_cuda(View y, View x) { reduce_floats<Mean>("mean", y, x); }
void norm_cuda(View y, View x) { reduce_floats<Norm>("norm", y, x); }

constexpr auto cuda = Device::Kind::cuda;
const bool filled = sum_kernel.fill(cuda, &sum_cuda) && sum_to_kernel.fill(cuda, &sum_to_cuda) &&
                    mean_kernel.fill(cuda, &mean_cuda) && norm_kernel.fill(cuda, &norm_cuda);

}  // namespace
}  // namespace tenet::cuda
