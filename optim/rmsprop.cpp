#include <tenet/ops/update/update.h>
#include <tenet/optim/rmsprop.h>

namespace tenet::optim {

RmsProp::RmsProp(const ParameterList& parameters, RmsPropOptions options)
    : Optimizer(parameters, options.learning_rate, options.weight_decay, "rmsprop"),
      options_(options) {
  check(options.alpha >= 0 && options.alpha < 1, "rmsprop: alpha is {}; it must lie in [0, 1)",
        options.alpha);
  check(options.eps >= 0 && options.momentum >= 0,
        "rmsprop: eps is {} and momentum {}; neither may be negative", options.eps,
        options.momentum);
  const auto own_shape = [](const Tensor& parameter) { return parameter.shape(); };
  add_state("mean_square", own_shape);
  if (options.centered) {
    add_state("mean", own_shape);
    momentum_at_ = 2;
  }
  if (options.momentum > 0) add_state("momentum", own_shape);
}

void RmsProp::update(const std::vector<Active>& active, const Step& step) {
  std::vector<detail::RmsPropTensor> tensors;
  tensors.reserve(active.size());
  for (const auto& [index, value, gradient] : active) {
    tensors.push_back(
        {.w = view(value),
         .dw = view(gradient),
         .square = view(state_of(0, index)),
         .mean = options_.centered ? view(state_of(1, index)) : View(),
         .momentum = options_.momentum > 0 ? view(state_of(momentum_at_, index)) : View()});
  }
  detail::rmsprop_update_kernel(active[0].value.device(), tensors,
                                {.rate = step.learning_rate,
                                 .alpha = options_.alpha,
                                 .eps = options_.eps,
                                 .l2 = step.weight_decay,
                                 .momentum = options_.momentum,
                                 .guard = step.guard});
}

}  // namespace tenet::optim
