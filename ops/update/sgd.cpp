#include <tenet/ops/update/detail/blocks.h>
#include <tenet/ops/update/detail/rules.h>
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
    const SgdRule<A> rule(step);
    if (!momentum) {
      for (int64_t i = begin; i < end; ++i) w[i] = T(rule.plain(A(w[i]), A(dw[i])));
      return;
    }
    for (int64_t i = begin; i < end; ++i) {
      w[i] = T(rule.with_momentum(A(w[i]), A(dw[i]), momentum[i]));
    }
  }
};

void sgd_cpu(const std::vector<SgdTensor>& tensors, const SgdStep& step) {
  update_blocks<SgdUpdate>(tensors, step, "sgd");
}

const bool filled = sgd_update_kernel.fill(Device::Kind::cpu, &sgd_cpu);

}  // namespace
}  // namespace tenet::detail
