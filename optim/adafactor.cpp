#include <tenet/ops/update/update.h>
#include <tenet/optim/adafactor.h>

#include <cmath>

namespace tenet::optim {
namespace {

/// A parameter seen as groups of matrices; rows is 0 if it is not factored.
struct Geometry {
  int64_t groups = 1, rows = 0, columns = 0;

  Geometry(const Tensor& parameter, bool factored) {
    std::vector<int64_t> sizes;
    for (const int64_t size : parameter.shape()) {
      if (size != 1) sizes.push_back(size);
    }
    if (!factored || sizes.size() < 2 || parameter.numel() == 0) return;
    columns = sizes[sizes.size() - 1];
    rows = sizes[sizes.size() - 2];
    groups = parameter.numel() / (rows * columns);
  }
};

}  // namespace

Adafactor::Adafactor(const ParameterList& parameters, AdafactorOptions options)
    : Optimizer(parameters, options.learning_rate, options.weight_decay, "adafactor"),
      options_(options) {
  check(options.clipping_threshold > 0 && static_cast<float>(options.eps1) > 0,
        "adafactor: clipping_threshold is {} and eps1 {}; both must be positive",
        options.clipping_threshold, options.eps1);
  check(options.beta1 >= 0 && options.beta1 < 1, "adafactor: beta1 is {}; it must lie in [0, 1)",
        options.beta1);
  add_state("second_moment_row", [&](const Tensor& parameter) {
    const Geometry g(parameter, options.factored);
    return g.rows > 0 ? Shape{g.groups, g.rows} : parameter.shape();
  });
  add_state("second_moment_column", [&](const Tensor& parameter) -> std::optional<Shape> {
    const Geometry g(parameter, options.factored);
    if (g.rows == 0) return {};
    return Shape{g.groups, g.columns};
  });
  if (options.beta1 > 0) {
    add_state("momentum", [](const Tensor& parameter) { return parameter.shape(); });
  }
}

void Adafactor::update(const std::vector<Active>& active, const Step& step) {
  std::vector<detail::AdafactorTensor> tensors;
  for (const auto& [index, value, gradient] : active) {
    if (value.numel() == 0) continue;
    const Geometry g(value, options_.factored);
    const bool factored = g.rows > 0;
    tensors.push_back({.w = view(value),
                       .dw = view(gradient),
                       .row = view(state_of(0, index)),
                       .column = factored ? view(state_of(1, index)) : View(),
                       .momentum = options_.beta1 > 0 ? view(state_of(2, index)) : View(),
                       .groups = g.groups,
                       .rows = factored ? g.rows : 1,
                       .columns = factored ? g.columns : value.numel()});
  }
  const double beta2 = 1 - std::pow(static_cast<double>(step.number), -options_.decay_exponent);
  detail::adafactor_update_kernel(active[0].value.device(), tensors,
                                  {.rate = step.learning_rate,
                                   .beta1 = options_.beta1,
                                   .beta2 = beta2,
                                   .eps1 = options_.eps1,
                                   .eps2 = options_.eps2,
                                   .clip = options_.clipping_threshold,
                                   .decay = step.weight_decay,
                                   .scaled = options_.multiply_by_parameter_scale,
                                   .decay_scaled = options_.scale_weight_decay,
                                   .guard = step.guard});
}

}  // namespace tenet::optim
