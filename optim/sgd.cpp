#include <tenet/ops/update/update.h>
#include <tenet/optim/sgd.h>

namespace tenet::optim {

Sgd::Sgd(const ParameterList& parameters, SgdOptions options)
    : Optimizer(parameters, options.learning_rate, options.weight_decay, "sgd"), options_(options) {
  check(options.momentum >= 0, "sgd: momentum is {}; it must not be negative", options.momentum);
  check(options.dampening >= 0 && options.dampening <= 1,
        "sgd: dampening is {}; it must be from 0 to 1", options.dampening);
  check(!options.nesterov || (options.momentum > 0 && options.dampening == 0),
        "sgd: nesterov needs a momentum, which is {}, and no dampening, which is {}",
        options.momentum, options.dampening);
  if (options.momentum != 0) {
    add_state("momentum", [](const Tensor& parameter) { return parameter.shape(); });
  }
}

void Sgd::update(const std::vector<Active>& active, const Step& step) {
  std::vector<detail::SgdTensor> tensors;
  tensors.reserve(active.size());
  for (const auto& [index, value, gradient] : active) {
    tensors.push_back({.w = view(value),
                       .dw = view(gradient),
                       .momentum = options_.momentum != 0 ? view(state_of(0, index)) : View()});
  }
  detail::sgd_update_kernel(active[0].value.device(), tensors,
                            {.rate = step.learning_rate,
                             .momentum = options_.momentum,
                             .gain = step.number == 1 ? 1 : 1 - options_.dampening,
                             .l2 = step.weight_decay,
                             .nesterov = options_.nesterov,
                             .guard = step.guard});
}

}  // namespace tenet::optim
