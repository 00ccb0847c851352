/// What every unary functor shares: the public function, its node and its CPU kernels.
#pragma once

#include <tenet/core/autograd.h>
#include <tenet/core/node.h>
#include <tenet/ops/detail/map.h>
#include <tenet/ops/elementwise.h>

namespace tenet::detail {

/// y = f.y(x); dx = f.dx(saved, dy) by one kernel, or, where the walk itself is recorded, by the
/// ops of derivative(f, saved, dy), an overload beside the functions that use f.
template <class F>
struct UnaryNode : Node {
  F f;
  Saved value;

  Tensors backward(const Tensors& dy) override {
    if constexpr (F::saves == functor::Saves::nothing) {
      return {derivative(f, Tensor(), dy[0])};
    } else {
      const Tensor known = value.get(*this);
      if (grad_enabled()) return {derivative(f, known, dy[0])};
      const Tensor dx = may_overwrite(dy[0]) ? dy[0] : empty_like(dy[0]);
      unary_backward_kernel<F>(dx.device(), view(dx), view(known), view(dy[0]), f);
      return {dx};
    }
  }
  void saved(SavedFields& fields) override {
    if constexpr (F::saves != functor::Saves::nothing) {
      fields(F::saves == functor::Saves::x ? "x" : "y", value);
    }
  }
};

template <class F>
Tensor unary(const Tensor& input, const F& f = {}) {
  constexpr bool real = std::is_same_v<typename F::Types, FloatTypes>;
  const DType type = promote(input.dtype(), real ? Scalar(1.0) : Scalar(false), F::name);
  const Tensor x = input.to(type);
  Tensor y = F::predicate ? empty(x.shape(), {DType::boolean, x.device()}) : empty_like(x);
  unary_kernel<F>(x.device(), view(y), view(x), f);
  if constexpr (!F::predicate) {
    if (auto* node = record<UnaryNode<F>>(F::name, y, x)) {
      node->f = f;
      if constexpr (F::saves == functor::Saves::x) node->value = x;
      if constexpr (F::saves == functor::Saves::y) node->value = y;
    }
  }
  return y;
}

/// f.y and f.dx as callables: one type for all element types, so that half types share the f32
/// loop.
template <class F>
struct Value {
  static constexpr bool packs = takes_packs<F>;
  F f;
  template <class... T>
  auto operator()(T... x) const {
    return f.y(x...);
  }
};
template <class F>
struct Derivative {
  static constexpr bool packs = takes_packs<F>;
  F f;
  template <class T>
  T operator()(T saved, T dy) const {
    return f.dx(saved, dy);
  }
};

template <class F>
void unary_cpu(View y, View x, F f) {
  dispatch(typename F::Types(), x.dtype, F::name, [&]<class T>() {
    using Y = std::conditional_t<F::predicate, bool, T>;
    map<Y, T>(y, {x}, Value<F>{f});
  });
}

template <class F>
void unary_backward_cpu(View dx, View saved, View dy, F f) {
  dispatch(FloatTypes(), dx.dtype, F::name, [&]<class T>() {
    map<T, T, T>(dx, {saved, dy}, Derivative<F>{f});
  });
}

template <class... F>
bool fill_unary_cpu(TypeList<F...>) {
  const auto fill = []<class G>(const G*) {
    unary_kernel<G>.fill(Device::Kind::cpu, &unary_cpu<G>);
    if constexpr (G::saves != functor::Saves::nothing) {
      unary_backward_kernel<G>.fill(Device::Kind::cpu, &unary_backward_cpu<G>);
    }
  };
  (fill(static_cast<const F*>(nullptr)), ...);
  return true;
}

}  // namespace tenet::detail
