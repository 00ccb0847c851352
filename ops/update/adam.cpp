#include <tenet/ops/update/detail/blocks.h>
#include <tenet/ops/update/update.h>

#include <cmath>

namespace tenet::detail {

constinit Kernel<void(const std::vector<AdamTensor>&, const AdamStep&)> adam_update_kernel{"adam"};

namespace {

template <class T>
struct AdamUpdate {
  using A = Compute<T>;

  static void run(const AdamTensor& tensor, const AdamStep& step, int64_t begin, int64_t end) {
    T* __restrict w = tensor.w.as<T>();
    const T* __restrict dw = tensor.dw.as<const T>();
    A* __restrict first = tensor.first.as<A>();
    A* __restrict second = tensor.second.as<A>();
    const A beta1 = A(step.beta1), beta2 = A(step.beta2);
    const A gain1 = A(1 - step.beta1), gain2 = A(1 - step.beta2);
    const A rate = A(step.rate), root = A(1 / step.root), eps = A(step.eps);
    const A l2 = A(step.l2), keep = A(1 - step.decay);
    for (int64_t i = begin; i < end; ++i) {
      const A d = A(dw[i]) + l2 * A(w[i]);
      const A m = beta1 * first[i] + gain1 * d;
      const A v = beta2 * second[i] + gain2 * d * d;
      first[i] = m;
      second[i] = v;
      w[i] = T(keep * A(w[i]) - rate * m / (std::sqrt(v) * root + eps));
    }
  }
};

void adam_cpu(const std::vector<AdamTensor>& tensors, const AdamStep& step) {
  update_blocks<AdamUpdate>(tensors, step, "adam");
}

const bool filled = adam_update_kernel.fill(Device::Kind::cpu, &adam_cpu);

}  // namespace
}  // namespace tenet::detail
