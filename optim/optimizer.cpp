#include <tenet/core/error.h>
#include <tenet/core/grad_mode.h>
#include <tenet/core/memory.h>
#include <tenet/ops/creation.h>
#include <tenet/optim/optimizer.h>

#include <cstring>

namespace tenet::optim {

Optimizer::Optimizer(NamedTensors parameters, double learning_rate, std::vector<std::string> slots)
    : parameters_(std::move(parameters)),
      learning_rate_(learning_rate),
      slot_names_(std::move(slots)),
      slots_(parameters_.size()),
      steps_(parameters_.size(), 0) {
  for (const auto& [name, parameter] : parameters_) {
    check(parameter.dtype() == DType::f32 || parameter.dtype() == DType::f64,
          "optimizer: parameter {} is {}; f32 and f64 are supported", name, parameter.dtype());
  }
}

NamedTensors Optimizer::numbered(const std::vector<Tensor>& parameters) {
  NamedTensors named;
  for (size_t i = 0; i < parameters.size(); ++i) named.emplace_back(std::to_string(i), parameters[i]);
  return named;
}

Shape Optimizer::slot_shape(size_t, const Shape& parameter) const { return parameter; }

void Optimizer::make_slots() {
  const memory::Scope scope(memory::Category::optimizer);
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const Tensor& parameter = parameters_[i].second;
    for (size_t k = 0; k < slot_names_.size(); ++k) {
      Tensor slot;
      if (has_slot(k, parameter.shape())) {
        slot = zeros(slot_shape(k, parameter.shape()), {parameter.dtype(), parameter.device()});
      }
      slots_[i].push_back(std::move(slot));
    }
  }
}

void Optimizer::step() {
  const NoGrad scope;
  const memory::Scope category(memory::Category::workspace);
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const Tensor& parameter = parameters_[i].second;
    const Tensor gradient = parameter.grad();
    if (!gradient.defined()) continue;
    check(parameter.is_contiguous(), "optimizer: parameter {} is not contiguous", parameters_[i].first);
    update(parameter, gradient.contiguous(), slots_[i], ++steps_[i]);
    parameter.bump_version();
  }
}

void Optimizer::clear_grad() {
  for (const auto& [name, parameter] : parameters_) parameter.clear_grad();
}

std::map<std::string, Tensor> Optimizer::state() const {
  std::map<std::string, Tensor> state;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const std::string& name = parameters_[i].first;
    state.emplace(name + ".step", scalar(steps_[i], {DType::i64}));
    for (size_t k = 0; k < slot_names_.size(); ++k) {
      if (slots_[i][k].defined()) state.emplace(name + "." + slot_names_[k], slots_[i][k]);
    }
  }
  return state;
}

void Optimizer::load_state(const std::map<std::string, Tensor>& given) {
  const std::map<std::string, Tensor> own = state();
  std::string wrong;
  for (const auto& [name, tensor] : own) {
    const auto found = given.find(name);
    if (found == given.end()) {
      wrong += fmt::format("; missing {}", name);
    } else if (found->second.shape() != tensor.shape() || found->second.dtype() != tensor.dtype()) {
      wrong += fmt::format("; {} is {} {}, not {} {}", name, found->second.dtype(),
                           found->second.shape(), tensor.dtype(), tensor.shape());
    }
  }
  for (const auto& [name, tensor] : given) {
    if (!own.contains(name)) wrong += fmt::format("; unexpected {}", name);
  }
  check(wrong.empty(), "optimizer: the state does not fit the parameters{}", wrong);
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const std::string& name = parameters_[i].first;
    steps_[i] = given.at(name + ".step").item<int64_t>();
    for (size_t k = 0; k < slot_names_.size(); ++k) {
      if (!slots_[i][k].defined()) continue;
      const memory::Scope scope(memory::Category::optimizer);
      slots_[i][k] = given.at(name + "." + slot_names_[k]).to(slots_[i][k].device()).clone();
    }
  }
}

}  // namespace tenet::optim
