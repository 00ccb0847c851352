#include <tenet/core/autograd.h>
#include <tenet/core/detail/core_kernels.h>
#include <tenet/ops/detail/map.h>
#include <tenet/ops/elementwise.h>
#include <tenet/ops/inplace.h>

namespace tenet {
namespace {

void check_writable(const Tensor& x, const char* op) {
  check(!grad_enabled() || !x.requires_grad(),
        "{}: the tensor is part of the graph; use NoGrad or the functional form", op);
  for (int axis = 0; axis < x.dim(); ++axis) {
    check(x.shape()[axis] <= 1 || x.strides()[axis] != 0,
          "{}: the tensor of shape {} repeats its elements along axis {}; clone() it first", op,
          x.shape(), axis);
  }
}

void check_source(const Tensor& x, const Tensor& y, const char* op) {
  check(!grad_enabled() || !y.requires_grad(),
        "{}: the source needs a gradient; use NoGrad or the functional form", op);
  check(x.device() == y.device(), "{}: operands are on {} and {}; move one with .to(device)", op,
        x.device(), y.device());
  check(broadcasts_to(y.shape(), x.shape()), "{}: shape {} does not broadcast to {}", op, y.shape(),
        x.shape());
}

void check_type(const Tensor& x, DType result, const char* op) {
  check(result == x.dtype(), "{}: the result is {}, the tensor {}; use the functional form", op,
        result, x.dtype());
}

/// y, or a copy of it if writing to x in some order could change y before it is read.
Tensor apart(const Tensor& x, const Tensor& y) {
  const bool same = x.body().storage.get() == y.body().storage.get();
  const bool aligned = view(x).data == view(y).data && x.shape() == y.shape() &&
                       x.strides() == y.strides() && x.dtype() == y.dtype();
  return same && !aligned ? y.detach().clone() : y;
}

void add_scaled_cpu(View x, View y, Scalar alpha) {
  dispatch(NumberTypes(), x.dtype, "add_", [&]<class T>() {
    using C = Compute<T>;
    const C factor = alpha.as<C>();
    detail::map<T, T, T>(
        x, {x, y}, [factor](C a, C b) { return functor::Add().y(a, functor::Mul().y(factor, b)); });
  });
}

}  // namespace

void copy_(const Tensor& to, const Tensor& from) {
  check_writable(to, "copy_");
  check(!grad_enabled() || !from.requires_grad(),
        "copy_: the source needs a gradient; use NoGrad or the functional form");
  check(broadcasts_to(from.shape(), to.shape()), "copy_: shape {} does not broadcast to {}",
        from.shape(), to.shape());
  const bool fixed = to.dtype() == DType::fixed32 || from.dtype() == DType::fixed32;
  check(!fixed || (to.dtype() == from.dtype() && to.fraction_bits() == from.fraction_bits()),
        "copy_: {} with {} fraction bits to {} with {}; use encode() or decode()", from.dtype(),
        from.fraction_bits(), to.dtype(), to.fraction_bits());
  const NoGrad scope;
  const Tensor source = apart(to, from.to(to.device()));
  detail::copy_kernel(to.device(), view(to), broadcast_to(view(source), to.shape()));
  to.bump_version();
}

void fill_(const Tensor& x, const Scalar value) {
  check_writable(x, "fill_");
  check(x.dtype() != DType::fixed32 || value.as_double() == 0,
        "fill_: fixed-point stream; copy_() an encode()d tensor");
  detail::fill_kernel(x.device(), view(x), value);
  x.bump_version();
}

void add_(const Tensor& x, const Tensor& y, Scalar alpha) {
  check_writable(x, "add_");
  check_source(x, y, "add_");
  check_type(x, promote(promote(x.dtype(), y.dtype(), "add_"), alpha, "add_"), "add_");
  const NoGrad scope;
  const Tensor source = apart(x, y).to(x.dtype());
  const View from = broadcast_to(view(source), x.shape());
  if (alpha.as_double() == 1) {
    detail::accumulate_kernel(x.device(), view(x), from);
  } else {
    detail::add_scaled_kernel(x.device(), view(x), from, alpha);
  }
  x.bump_version();
}

void add_(const Tensor& x, Scalar value) {
  check_writable(x, "add_");
  check_type(x, promote(x.dtype(), value, "add_"), "add_");
  functor::Right<functor::Add> f;
  f.number = value;
  detail::unary_kernel<functor::Right<functor::Add>>(x.device(), view(x), view(x), f);
  x.bump_version();
}

void mul_(const Tensor& x, Scalar value) {
  check_writable(x, "mul_");
  check_type(x, promote(x.dtype(), value, "mul_"), "mul_");
  functor::Right<functor::Mul> f;
  f.number = value;
  detail::unary_kernel<functor::Right<functor::Mul>>(x.device(), view(x), view(x), f);
  x.bump_version();
}

namespace detail {

constinit Kernel<void(View x, View y, Scalar alpha)> add_scaled_kernel{"add_"};

}  // namespace detail

namespace {

const bool filled = detail::add_scaled_kernel.fill(Device::Kind::cpu, &add_scaled_cpu);

}  // namespace
}  // namespace tenet
