/// What an optimizer does to one element, for the CPU and CUDA. A is the accumulation type.
#pragma once

#include <tenet/core/macros.h>
#include <tenet/ops/update/update.h>

#include <cmath>

namespace tenet::detail {

/// SgdStep's formula; `u` is the momentum's element, or null.
template <class A>
struct SgdRule {
  A rate, beta, gain, l2, own, past;

  explicit SgdRule(const SgdStep& step)
      : rate(A(step.rate)),
        beta(A(step.momentum)),
        gain(A(step.gain)),
        l2(A(step.l2)),
        own(step.nesterov ? A(1) : A(0)),
        past(step.nesterov ? A(step.momentum) : A(1)) {}
  TENET_HD A plain(A w, A dw) const {
    const A d = dw + l2 * w;
    return w - rate * d;
  }
  TENET_HD A with_momentum(A w, A dw, A& momentum) const {
    const A d = dw + l2 * w;
    const A u = beta * momentum + gain * d;
    momentum = u;
    return w - rate * (own * d + past * u);
  }
};

/// AdamStep's formula.
template <class A>
struct AdamRule {
  A beta1, beta2, gain1, gain2, rate, root, eps, l2, keep;

  explicit AdamRule(const AdamStep& step)
      : beta1(A(step.beta1)),
        beta2(A(step.beta2)),
        gain1(A(1 - step.beta1)),
        gain2(A(1 - step.beta2)),
        rate(A(step.rate)),
        root(A(1 / step.root)),
        eps(A(step.eps)),
        l2(A(step.l2)),
        keep(A(1 - step.decay)) {}
  TENET_HD A operator()(A w, A dw, A& first, A& second) const {
    const A d = dw + l2 * w;
    const A m = beta1 * first + gain1 * d;
    const A v = beta2 * second + gain2 * d * d;
    first = m;
    second = v;
    return keep * w - rate * m / (std::sqrt(v) * root + eps);
  }
};

/// RmsPropStep's formula; `mean` and `momentum` point to elements, or are null.
template <class A>
struct RmsPropRule {
  A alpha, gain, eps, rate, l2, beta;

  explicit RmsPropRule(const RmsPropStep& step)
      : alpha(A(step.alpha)),
        gain(A(1 - step.alpha)),
        eps(A(step.eps)),
        rate(A(step.rate)),
        l2(A(step.l2)),
        beta(A(step.momentum)) {}
  TENET_HD A operator()(A w, A dw, A& square, A* mean, A* momentum) const {
    const A d = dw + l2 * w;
    A v = alpha * square + gain * d * d;
    square = v;
    if (mean) {
      *mean = alpha * *mean + gain * d;
      v -= *mean * *mean;
      v = v < A(0) ? A(0) : v;  // by rounding alone
    }
    A u = d / (std::sqrt(v) + eps);
    if (momentum) u = *momentum = beta * *momentum + u;
    return w - rate * u;
  }
};

}  // namespace tenet::detail
