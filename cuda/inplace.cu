/// Writes into an existing tensor, on the GPU.
#include <tenet/cuda/detail/map.h>
#include <tenet/ops/functors.h>
#include <tenet/ops/inplace.h>

namespace tenet::cuda {
namespace {

template <class C>
struct AddScaled {
  C factor;
  TENET_HD C operator()(C a, C b) const { return functor::Add().y(a, functor::Mul().y(factor, b)); }
};

void add_scaled_cuda(View x, View y, Scalar alpha) {
  dispatch(NumberTypes(), x.dtype, "add_", [&]<class T>() {
    using C = Compute<T>;
    map<T, T, T>("add_", x, {x, y}, AddScaled<C>{alpha.as<C>()});
  });
}

const bool filled = tenet::detail::add_scaled_kernel.fill(Device::Kind::cuda, &add_scaled_cuda);

}  // namespace
}  // namespace tenet::cuda
