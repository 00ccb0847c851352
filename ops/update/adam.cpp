#include <tenet/ops/update/detail/blocks.h>
#include <tenet/ops/update/detail/rules.h>
#include <tenet/ops/update/update.h>

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
    const AdamRule<A> rule(step);
    for (int64_t i = begin; i < end; ++i) {
      w[i] = T(rule(A(w[i]), A(dw[i]), first[i], second[i]));
    }
  }
};

void adam_cpu(const std::vector<AdamTensor>& tensors, const AdamStep& step) {
  update_blocks<AdamUpdate>(tensors, step, "adam");
}

const bool filled = adam_update_kernel.fill(Device::Kind::cpu, &adam_cpu);

}  // namespace
}  // namespace tenet::detail
