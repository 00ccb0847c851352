/// Optimizer steps on the GPU: one launch for up to 48 tensors.
#include <tenet/cuda/detail/runtime.h>
#include <tenet/cuda/detail/tensor_list_task.h>
#include <tenet/ops/update/detail/rules.h>
#include <tenet/ops/update/update.h>

namespace tenet::cuda {
namespace {

using tenet::detail::AdamRule;
using tenet::detail::AdamStep;
using tenet::detail::AdamTensor;
using tenet::detail::RmsPropRule;
using tenet::detail::RmsPropStep;
using tenet::detail::RmsPropTensor;
using tenet::detail::SgdRule;
using tenet::detail::SgdStep;
using tenet::detail::SgdTensor;

constexpr int kThreads = 256;
constexpr int kAtOnce = 4;  // elements that a thread has under way

/// A parameter, its gradient and its states, of which some may be null.
template <class T>
struct Entry {
  T* w;
  const T* dw;
  Compute<T>* state[3];
};

template <class T>
struct ApplySgd {
  SgdRule<Compute<T>> rule;
  __device__ void operator()(const Entry<T>& e, int64_t i) const {
    using A = Compute<T>;
    const A w = A(e.w[i]), dw = A(e.dw[i]);
    e.w[i] = T(e.state[0] ? rule.with_momentum(w, dw, e.state[0][i]) : rule.plain(w, dw));
  }
};

template <class T>
struct ApplyAdam {
  AdamRule<Compute<T>> rule;
  __device__ void operator()(const Entry<T>& e, int64_t i) const {
    using A = Compute<T>;
    e.w[i] = T(rule(A(e.w[i]), A(e.dw[i]), e.state[0][i], e.state[1][i]));
  }
};

template <class T>
struct ApplyRmsProp {
  RmsPropRule<Compute<T>> rule;
  __device__ void operator()(const Entry<T>& e, int64_t i) const {
    using A = Compute<T>;
    e.w[i] = T(rule(A(e.w[i]), A(e.dw[i]), e.state[0][i], e.state[1] ? e.state[1] + i : nullptr,
                    e.state[2] ? e.state[2] + i : nullptr));
  }
};

template <class T, class Apply>
__global__ void __launch_bounds__(kThreads)
    update(const __grid_constant__ TensorList<Entry<T>> list, Apply apply, const double* guard) {
  if (guard != nullptr && !isfinite(*guard)) return;
  const auto chunk = list.chunk(static_cast<int32_t>(blockIdx.x));
  const Entry<T>& entry = list.entry[chunk.tensor];
  for (int64_t i = chunk.begin + threadIdx.x; i < chunk.end; i += kThreads * kAtOnce) {
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k) {
      if (i + k * kThreads < chunk.end) apply(entry, i + k * kThreads);
    }
  }
}

/// The tensors of each floating type in turn.
template <template <class> class Apply, template <class> class Rule, class Item, class Step,
          class StatesOf>
void update_all(const char* name, const std::vector<Item>& items, const Step& step,
                const StatesOf& states_of) {
  const auto of_type = [&]<class T>() {
    using A = Compute<T>;
    const Apply<T> apply{Rule<A>(step)};
    in_lists<Entry<T>>(
        items,
        [&](const Item& item) {
          const std::array<View, 3> states = states_of(item);
          return Entry<T>{
              item.w.template as<T>(),
              item.dw.template as<const T>(),
              {states[0].template as<A>(), states[1].template as<A>(), states[2].template as<A>()}};
        },
        [](const Item& item) { return item.w.dtype == dtype_of<T> ? item.w.numel() : 0; },
        [&](const TensorList<Entry<T>>& list) {
          launch(name, &update<T, Apply<T>>, blocks_of(list.chunks(), name), kThreads, 0, list,
                 apply, step.guard);
        });
  };
  of_type.template operator()<float>();
  of_type.template operator()<double>();
  of_type.template operator()<bf16>();
  of_type.template operator()<f16>();
}

void sgd_cuda(const std::vector<SgdTensor>& tensors, const SgdStep& step) {
  update_all<ApplySgd, SgdRule>("sgd", tensors, step, [](const SgdTensor& t) {
    return std::array<View, 3>{t.momentum, View(), View()};
  });
}

void adam_cuda(const std::vector<AdamTensor>& tensors, const AdamStep& step) {
  update_all<ApplyAdam, AdamRule>("adam", tensors, step, [](const AdamTensor& t) {
    return std::array<View, 3>{t.first, t.second, View()};
  });
}

void rmsprop_cuda(const std::vector<RmsPropTensor>& tensors, const RmsPropStep& step) {
  update_all<ApplyRmsProp, RmsPropRule>("rmsprop", tensors, step, [](const RmsPropTensor& t) {
    return std::array<View, 3>{t.square, t.mean, t.momentum};
  });
}

const bool filled = tenet::detail::sgd_update_kernel.fill(Device::Kind::cuda, &sgd_cuda) &&
                    tenet::detail::adam_update_kernel.fill(Device::Kind::cuda, &adam_cuda) &&
                    tenet::detail::rmsprop_update_kernel.fill(Device::Kind::cuda, &rmsprop_cuda);

}  // namespace
}  // namespace tenet::cuda
