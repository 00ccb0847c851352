#include <tenet/ops/update/update.h>
#include <tenet/optim/adam.h>

#include <cmath>

namespace tenet::optim {

Adam::Adam(const ParameterList& parameters, AdamOptions options)
    : Adam(parameters, options, "adam", false) {}

Adam::Adam(const ParameterList& parameters, AdamOptions options, std::string name, bool decoupled)
    : Optimizer(parameters, options.learning_rate, options.weight_decay, name),
      options_(options),
      decoupled_(decoupled) {
  check(options.beta1 >= 0 && options.beta1 < 1 && options.beta2 >= 0 && options.beta2 < 1,
        "{}: beta1 is {} and beta2 {}; both must lie in [0, 1)", name, options.beta1,
        options.beta2);
  check(options.eps >= 0, "{}: eps is {}; it must not be negative", name, options.eps);
  const auto own_shape = [](const Tensor& parameter) { return parameter.shape(); };
  add_state("first_moment", own_shape);
  add_state("second_moment", own_shape);
}

void Adam::update(const std::vector<Active>& active, const Step& step) {
  std::vector<detail::AdamTensor> tensors;
  tensors.reserve(active.size());
  for (const auto& [index, value, gradient] : active) {
    tensors.push_back({.w = view(value),
                       .dw = view(gradient),
                       .first = view(state_of(0, index)),
                       .second = view(state_of(1, index))});
  }
  const double t = static_cast<double>(step.number);
  detail::adam_update_kernel(active[0].value.device(), tensors,
                             {.rate = step.learning_rate / (1 - std::pow(options_.beta1, t)),
                              .beta1 = options_.beta1,
                              .beta2 = options_.beta2,
                              .root = std::sqrt(1 - std::pow(options_.beta2, t)),
                              .eps = options_.eps,
                              .l2 = decoupled_ ? 0 : step.weight_decay,
                              .decay = decoupled_ ? step.learning_rate * step.weight_decay : 0,
                              .guard = step.guard});
}

AdamW::AdamW(const ParameterList& parameters, AdamWOptions options)
    : Adam(parameters,
           {options.learning_rate, options.beta1, options.beta2, options.eps, options.weight_decay},
           "adamw", true) {}

}  // namespace tenet::optim
