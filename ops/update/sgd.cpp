#include <tenet/ops/update/detail/blocks.h>
#include <tenet/ops/update/update.h>

namespace tenet::detail {

constinit Kernel<void(const std::vector<SgdTensor>&, const SgdStep&)> sgd_update_kernel{"sgd"};

namespace {

template <class T>
struct SgdUpdate {
  using A = Compute<T>;

  static void run(const SgdTensor& tensor, const SgdStep& step, int64_t begin, int64_t end) {
    T* w = tensor.w.as<T>();
    const T* dw = tensor.dw.as<const T>();
    A* momentum = tensor.momentum.as<A>();
    const A rate = A(step.rate), beta = A(step.momentum), gain = A(step.gain), l2 = A(step.l2);
    if (!momentum) {
      for (int64_t i = begin; i < end; ++i) {
        const A d = A(dw[i]) + l2 * A(w[i]);
        w[i] = T(A(w[i]) - rate * d);
      }
      return;
    }
    const A own = step.nesterov ? A(1) : A(0), past = step.nesterov ? beta : A(1);
    for (int64_t i = begin; i < end; ++i) {
      const A d = A(dw[i]) + l2 * A(w[i]);
      const A u = beta * momentum[i] + gain * d;
      momentum[i] = u;
      w[i] = T(A(w[i]) - rate * (own * d + past * u));
    }
  }
};

void sgd_cpu(const std::vector<SgdTensor>& tensors, const SgdStep& step) {
  update_blocks<SgdUpdate>(tensors, step, "sgd");
}

const bool filled = sgd_update_kernel.fill(Device::Kind::cpu, &sgd_cpu);

}  // namespace
}  // namespace tenet::detail
