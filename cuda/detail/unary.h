/// Filling the slots of functors of one number.
#pragma once

#if defined(__NVCC__)
#pragma nv_diag_suppress 186  // functors compare with zero, unsigned numbers too
#endif

#include <tenet/cuda/detail/map.h>
#include <tenet/ops/elementwise.h>

namespace tenet::cuda {

/// f.y and f.dx as callables: one type for all element types.
template <class F>
struct Value {
  F f;
  template <class... T>
  TENET_HD auto operator()(T... x) const {
    return f.y(x...);
  }
};
template <class F>
struct Derivative {
  F f;
  template <class T>
  TENET_HD T operator()(T saved, T dy) const {
    return f.dx(saved, dy);
  }
};

template <class F>
void unary_cuda(View y, View x, F f) {
  dispatch(typename F::Types(), x.dtype, F::name, [&]<class T>() {
    using Y = std::conditional_t<F::predicate, bool, T>;
    map<Y, T>(F::name, y, {x}, Value<F>{f});
  });
}

template <class F>
void unary_backward_cuda(View dx, View saved, View dy, F f) {
  dispatch(FloatTypes(), dx.dtype, F::name, [&]<class T>() {
    map<T, T, T>(F::name, dx, {saved, dy}, Derivative<F>{f});
  });
}

template <class... F>
bool fill_unary(TypeList<F...>) {
  const auto fill = []<class G>(const G*) {
    using namespace tenet::detail;
    unary_kernel<G>.fill(Device::Kind::cuda, &unary_cuda<G>);
    if constexpr (G::saves != functor::Saves::nothing) {
      unary_backward_kernel<G>.fill(Device::Kind::cuda, &unary_backward_cuda<G>);
    }
  };
  (fill(static_cast<const F*>(nullptr)), ...);
  return true;
}

}  // namespace tenet::cuda
