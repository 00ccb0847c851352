#include <tenet/ops/update/detail/blocks.h>
#include <tenet/ops/update/update.h>

#include <cmath>

namespace tenet::detail {

constinit Kernel<void(const std::vector<RmsPropTensor>&, const RmsPropStep&)> rmsprop_update_kernel{
    "rmsprop"};

namespace {

template <class T>
struct RmsPropUpdate {
  using A = Compute<T>;

  static void run(const RmsPropTensor& tensor, const RmsPropStep& step, int64_t begin,
                  int64_t end) {
    T* __restrict w = tensor.w.as<T>();
    const T* __restrict dw = tensor.dw.as<const T>();
    A* __restrict square = tensor.square.as<A>();
    A* __restrict mean = tensor.mean.as<A>();
    A* __restrict momentum = tensor.momentum.as<A>();
    const A alpha = A(step.alpha), gain = A(1 - step.alpha), eps = A(step.eps);
    const A rate = A(step.rate), l2 = A(step.l2), beta = A(step.momentum);
    for (int64_t i = begin; i < end; ++i) {
      const A d = A(dw[i]) + l2 * A(w[i]);
      A v = alpha * square[i] + gain * d * d;
      square[i] = v;
      if (mean) {
        mean[i] = alpha * mean[i] + gain * d;
        v -= mean[i] * mean[i];
        v = v < A(0) ? A(0) : v;  // by rounding alone
      }
      A u = d / (std::sqrt(v) + eps);
      if (momentum) u = momentum[i] = beta * momentum[i] + u;
      w[i] = T(A(w[i]) - rate * u);
    }
  }
};

void rmsprop_cpu(const std::vector<RmsPropTensor>& tensors, const RmsPropStep& step) {
  update_blocks<RmsPropUpdate>(tensors, step, "rmsprop");
}

const bool filled = rmsprop_update_kernel.fill(Device::Kind::cpu, &rmsprop_cpu);

}  // namespace
}  // namespace tenet::detail
