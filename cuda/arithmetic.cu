/// Arithmetic of two tensors, on the GPU.
#include <tenet/cuda/detail/select.h>
#include <tenet/cuda/detail/unary.h>
#include <tenet/ops/arithmetic.h>

namespace tenet::cuda {
namespace {

template <class F>
void binary_cuda(View y, View a, View b) {
  dispatch(typename F::Types(), a.dtype, F::name, [&]<class T>() {
    using Y = std::conditional_t<F::predicate, bool, T>;
    map<Y, T, T>(F::name, y, {a, b}, Value<F>());
  });
}

/// One kernel for both operands: what it reads is the same.
template <class F>
struct Gradient {
  bool second;
  template <class T>
  TENET_HD T operator()(T a, T b, T dy) const {
    return second ? F().db(a, b, dy) : F().da(a, b, dy);
  }
};

template <class F>
void binary_backward_cuda(View dx, View a, View b, View dy, bool second) {
  dispatch(FloatTypes(), dx.dtype, F::name, [&]<class T>() {
    map<T, T, T, T>(F::name, dx, {a, b, dy}, Gradient<F>{second});
  });
}

void where_cuda(View y, View condition, View a, View b) {
  dispatch_size(y.dtype, [&]<class T>() {
    map<T, bool, T, T>("where", y, {condition, a, b}, Select());
  });
}

template <class... F>
bool fill_binary(TypeList<F...>) {
  using tenet::detail::binary_kernel;
  return (binary_kernel<F>.fill(Device::Kind::cuda, &binary_cuda<F>) && ...);
}
template <class... F>
bool fill_binary_backward(TypeList<F...>) {
  using tenet::detail::binary_backward_kernel;
  return (binary_backward_kernel<F>.fill(Device::Kind::cuda, &binary_backward_cuda<F>) && ...);
}

const bool filled = fill_binary(tenet::detail::BinaryFunctors()) &&
                    fill_binary_backward(tenet::detail::BinaryBackwardFunctors()) &&
                    tenet::detail::where_kernel.fill(Device::Kind::cuda, &where_cuda);

}  // namespace
}  // namespace tenet::cuda
