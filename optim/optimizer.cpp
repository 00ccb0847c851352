#include <fmt/format.h>

#include <tenet/core/detail/core_kernels.h>
#include <tenet/core/grad_mode.h>
#include <tenet/core/memory.h>
#include <tenet/optim/optimizer.h>

#include <set>

namespace tenet::optim {

ParameterList::ParameterList(const std::vector<Tensor>& tensors) {
  for (const Tensor& tensor : tensors) named_.emplace_back(std::to_string(named_.size()), tensor);
}

Optimizer::Optimizer(const ParameterList& parameters, double learning_rate, std::string name)
    : name_(std::move(name)), learning_rate_(learning_rate) {
  check(!parameters.named().empty(), "{}: no parameters", name_);
  check(learning_rate >= 0, "{}: learning_rate is {}; it must not be negative", name_,
        learning_rate);
  std::set<const detail::TensorBody*> bodies;
  for (const auto& [parameter_name, tensor] : parameters.named()) {
    check(is_floating(tensor.dtype()) && tensor.is_contiguous(),
          "{}: parameter {} is {} with strides {}; it must be floating-point and contiguous", name_,
          parameter_name, tensor.dtype(), tensor.strides());
    check(bodies.insert(&tensor.body()).second, "{}: parameter {} is given twice", name_,
          parameter_name);
    names_.push_back(parameter_name);
    parameters_.push_back(tensor);
  }
}

void Optimizer::step() {
  std::vector<Active> active;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const Tensor gradient = parameters_[i].grad();
    if (gradient.defined()) {
      active.push_back({i, parameters_[i], gradient.detach().contiguous()});
    }
  }
  if (!active.empty()) {
    const NoGrad scope;
    for (const Active& one : active) {
      check(one.value.device() == active[0].value.device(),
            "{}: parameter {} is on {}, parameter {} on {}; move the model as a whole", name_,
            names_[one.index], one.value.device(), names_[active[0].index],
            active[0].value.device());
    }
    update(active, steps_ + 1);
  }
  for (const Active& changed : active) changed.value.bump_version();
  ++steps_;
}

void Optimizer::clear_grad() {
  for (const Tensor& parameter : parameters_) parameter.clear_grad();
}

Tensor Optimizer::zero_state(const Tensor& parameter, const std::optional<Shape>& shape) {
  if (!shape) return {};
  const memory::Scope scope(memory::Category::optimizer);
  Tensor state = empty(*shape, {accumulate_dtype(parameter.dtype()), parameter.device()});
  detail::fill_kernel(state.device(), view(state), 0);
  return state;
}

Tensor Optimizer::state_of(size_t i, size_t index) {
  Tensor& tensor = state_[i].second[index];
  const Tensor& parameter = parameters_[index];
  const memory::Scope scope(memory::Category::optimizer);
  tensor = tensor.to(accumulate_dtype(parameter.dtype())).to(parameter.device());
  return tensor;
}

std::map<std::string, Tensor> Optimizer::state() const {
  std::map<std::string, Tensor> result{{"step", scalar(steps_, {.dtype = DType::i64})}};
  for (const auto& [what, tensors] : state_) {
    for (size_t i = 0; i < tensors.size(); ++i) {
      if (tensors[i].defined()) result.emplace(names_[i] + "." + what, tensors[i].detach());
    }
  }
  return result;
}

void Optimizer::load_state(const std::map<std::string, Tensor>& given) {
  const std::map<std::string, Tensor> own = state();
  std::vector<std::string> missing, unexpected, facts;
  for (const auto& [name, tensor] : own) {
    const auto found = given.find(name);
    if (found == given.end()) {
      missing.push_back(name);
    } else if (found->second.shape() != tensor.shape()) {
      facts.push_back(fmt::format("{} has shape {}, the optimizer's {}", name,
                                  found->second.shape(), tensor.shape()));
    }
  }
  for (const auto& [name, tensor] : given) {
    if (!own.contains(name)) unexpected.push_back(name);
  }
  if (!unexpected.empty()) {
    facts.insert(facts.begin(), fmt::format("unexpected {}", fmt::join(unexpected, ", ")));
  }
  if (!missing.empty()) {
    facts.insert(facts.begin(), fmt::format("missing {}", fmt::join(missing, ", ")));
  }
  check(facts.empty(), "{}: state does not fit; {}", name_, fmt::join(facts, "; "));
  for (const auto& [name, tensor] : own) {
    if (name == "step") continue;
    const Tensor source = given.at(name).to(tensor.device());
    detail::copy_kernel(tensor.device(), view(tensor), view(source));
  }
  steps_ = given.at("step").item<int64_t>();
}

}  // namespace tenet::optim
