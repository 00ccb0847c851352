#include <tenet/core/grad_mode.h>
#include <tenet/nn/momentum_residual.h>
#include <tenet/ops/arithmetic.h>

namespace tenet::nn {

void MomentumResidual::check_options() const {
  check(options_.momentum > 0 && options_.momentum < 1,
        "{}: momentum is {}; it must lie between 0 and 1", name(), options_.momentum);
}

void MomentumResidual::check_streams(const Tensors& x) const {
  check(x.size() == 2, "{}: {} streams, x and v are needed", name(), x.size());
  check(x[0].shape() == x[1].shape(), "{}: x has shape {}, v {}", name(), x[0].shape(),
        x[1].shape());
}

Tensor MomentumResidual::push(const Tensor& x) const {
  const Tensor y = f_.get()(x);
  check(y.shape() == x.shape(), "{}: the function gives shape {} for a stream of shape {}", name(),
        y.shape(), x.shape());
  return (1 - options_.momentum) * y;
}

Tensors MomentumResidual::forward(const Tensors& x) {
  check_streams(x);
  const Tensor v = options_.momentum * x[1] + push(x[0]);
  return {x[0] + v, v};
}

Tensors MomentumResidual::inverse(const Tensors& y) {
  check_streams(y);
  const Tensor x = y[0] - y[1];
  return {x, (y[1] - push(x)) / options_.momentum};
}

// dv' = dv'_out + dx';  dx = dx' + (1 - m) J_f(x)^T dv';  dv = m dv'
InverseAndGrad MomentumResidual::inverse_and_grad(const Tensors& y, const Tensors& dy) {
  const Tensor x = y[0] - y[1], leaf = replay_leaf(x), dv = dy[0] + dy[1];
  Tensors pushed(1);
  {
    const EnableGrad scope;
    pushed[0] = push(leaf);
  }
  Tensor v = (y[1] - pushed[0].detach()) / options_.momentum;
  const DType dtype = grad_dtype(pushed[0].dtype());
  ReplayGrad gradients = replay_grad(std::move(pushed), {dv.to(dtype)}, {leaf});
  const Tensor& through = gradients.dx[0];
  Tensor dx = through.defined() ? dy[0] + through : dy[0];
  return {{x, std::move(v)}, {std::move(dx), options_.momentum * dv}, gradients.dcaptured};
}

}  // namespace tenet::nn
