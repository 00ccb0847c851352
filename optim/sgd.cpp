#include <tenet/ops/update/update.h>
#include <tenet/optim/sgd.h>

namespace tenet::optim {

Sgd::Sgd(const ParameterList& parameters, SgdOptions options)
    : Optimizer(parameters, options.learning_rate, "sgd"), options_(options) {
  check(options.momentum >= 0 && options.weight_decay >= 0,
        "sgd: momentum is {} and weight_decay {}; neither may be negative", options.momentum,
        options.weight_decay);
  check(!options.nesterov || options.momentum > 0, "sgd: nesterov needs a momentum, which is {}",
        options.momentum);
  if (options.momentum != 0) {
    add_state("momentum", [](const Tensor& parameter) { return parameter.shape(); });
  }
}

void Sgd::update(const std::vector<Active>& active, int64_t) {
  std::vector<detail::SgdTensor> tensors;
  tensors.reserve(active.size());
  for (const auto& [index, value, gradient] : active) {
    tensors.push_back({.w = view(value),
                       .dw = view(gradient),
                       .momentum = options_.momentum != 0 ? view(state_of(0, index)) : View()});
  }
  detail::sgd_update_kernel(active[0].value.device(), tensors,
                            {.rate = learning_rate(),
                             .momentum = options_.momentum,
                             .l2 = options_.weight_decay,
                             .nesterov = options_.nesterov});
}

}  // namespace tenet::optim
