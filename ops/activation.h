/// More nonlinearities of neural networks; relu, gelu, silu, tanh, sigmoid and softplus are in
/// elementwise.h, whose rules hold here too. Differentiable any number of times.
#pragma once

#include <tenet/ops/elementwise.h>
#include <tenet/ops/functors/rectifier.h>

namespace tenet {

/// x, or slope x below 0. Maas et al. (2013).
Tensor leaky_relu(const Tensor& x, double slope = 0.01);
/// x, or alpha (exp(x) - 1) below 0. Clevert et al. (2016).
Tensor elu(const Tensor& x, double alpha = 1);
/// 1.0507 elu(x, 1.6733), the constants of Klambauer et al. (2017) to f64's precision.
Tensor selu(const Tensor& x);
/// (x + 3) / 6, limited to [0, 1].
Tensor hardsigmoid(const Tensor& x);
/// x hardsigmoid(x). Howard et al. (2019).
Tensor hardswish(const Tensor& x);
/// x tanh(softplus(x)). Misra (2020).
Tensor mish(const Tensor& x);
/// log(sigmoid(x)), without overflow.
Tensor log_sigmoid(const Tensor& x);
/// a sigmoid(b), where a and b are the halves of x along `axis`. Dauphin et al. (2017). Error:
/// `glu: axis 1 of shape (2, 3) has odd size 3`.
Tensor glu(const Tensor& x, int axis = -1);

namespace detail {

/// The functors whose slots of unary_kernel and unary_backward_kernel activation.cpp fills.
using ActivationFunctors =
    TypeList<functor::LeakyRelu, functor::Elu, functor::Selu, functor::Hardsigmoid,
             functor::Hardswish, functor::Mish, functor::LogSigmoid>;

}  // namespace detail
}  // namespace tenet
