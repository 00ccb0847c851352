#include <tenet/ops/update/detail/blocks.h>
#include <tenet/ops/update/detail/rules.h>
#include <tenet/ops/update/update.h>

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
    const RmsPropRule<A> rule(step);
    for (int64_t i = begin; i < end; ++i) {
      w[i] = T(rule(A(w[i]), A(dw[i]), square[i], mean ? mean + i : nullptr,
                    momentum ? momentum + i : nullptr));
    }
  }
};

void rmsprop_cpu(const std::vector<RmsPropTensor>& tensors, const RmsPropStep& step) {
  update_blocks<RmsPropUpdate>(tensors, step, "rmsprop");
}

const bool filled = rmsprop_update_kernel.fill(Device::Kind::cpu, &rmsprop_cpu);

}  // namespace
}  // namespace tenet::detail
