#include <fmt/format.h>

#include <tenet/core/detail/core_kernels.h>
#include <tenet/core/grad_mode.h>
#include <tenet/core/memory.h>
#include <tenet/optim/optimizer.h>

#include <cmath>
#include <set>

namespace tenet::optim {

ParameterList::ParameterList(const std::vector<Tensor>& tensors) : numbered_(true) {
  for (const Tensor& tensor : tensors) named_.emplace_back(std::to_string(named_.size()), tensor);
  group_of_.resize(named_.size());
}

ParameterList::ParameterList(const std::vector<ParameterGroup>& groups) {
  groups_.clear();
  for (const ParameterGroup& group : groups) add(group);
}

ParameterList::ParameterList(std::initializer_list<ParameterGroup> groups) {
  groups_.clear();
  for (const ParameterGroup& group : groups) add(group);
}

void ParameterList::add(const ParameterGroup& group) {
  const ParameterList& list = group.parameters;
  check(list.groups_.size() == 1, "parameter group: a group of {} groups", list.groups_.size());
  for (const auto& [name, tensor] : list.named_) {
    named_.emplace_back(list.numbered_ ? std::to_string(named_.size()) : name, tensor);
    group_of_.push_back(groups_.size());
  }
  groups_.push_back({group.learning_rate, group.weight_decay});
}

Optimizer::Optimizer(const ParameterList& parameters, double learning_rate, double weight_decay,
                     std::string name)
    : name_(std::move(name)), group_of_(parameters.group_of()), learning_rate_(learning_rate) {
  check(!parameters.named().empty(), "{}: no parameters", name_);
  check(learning_rate >= 0, "{}: learning_rate is {}; it must not be negative", name_,
        learning_rate);
  check(weight_decay >= 0, "{}: weight_decay is {}; it must not be negative", name_, weight_decay);
  std::set<const detail::TensorBody*> bodies;
  std::set<std::string> names;
  for (const auto& [parameter_name, tensor] : parameters.named()) {
    check(is_floating(tensor.dtype()) && tensor.is_contiguous(),
          "{}: parameter {} is {} with strides {}; it must be floating-point and contiguous", name_,
          parameter_name, tensor.dtype(), tensor.strides());
    check(bodies.insert(&tensor.body()).second, "{}: parameter {} is given twice", name_,
          parameter_name);
    check(names.insert(parameter_name).second,
          "{}: two parameters are named {}; prefix the names of one group", name_, parameter_name);
    names_.push_back(parameter_name);
    parameters_.push_back(tensor);
  }
  for (const auto& options : parameters.groups()) add_group(options, weight_decay);
}

void Optimizer::add_group(const ParameterList::Options& options, double weight_decay) {
  Group group{.weight_decay = options.weight_decay.value_or(weight_decay)};
  check(group.weight_decay >= 0, "{}: group {} has weight_decay {}; it must not be negative", name_,
        groups_.size(), group.weight_decay);
  if (options.learning_rate) {
    check(*options.learning_rate >= 0, "{}: group {} has learning_rate {}; it must not be negative",
          name_, groups_.size(), *options.learning_rate);
    check(learning_rate_ > 0,
          "{}: group {} has a learning rate of its own; the optimizer's, {}, must be positive",
          name_, groups_.size(), learning_rate_);
    group.factor = *options.learning_rate / learning_rate_;
  }
  groups_.push_back(group);
}

double Optimizer::learning_rate(size_t group) const {
  check(group < groups_.size(), "{}: group {} of {}", name_, group, groups_.size());
  return learning_rate_ * groups_[group].factor;
}

void Optimizer::step() { step(nullptr); }

void Optimizer::step_if_finite(const Tensor& number) {
  check(number.numel() == 1 && number.dtype() == DType::f64 &&
            number.device() == parameters_[0].device(),
        "{}: the guard of a step is {} {} on {}; it must be one f64 element on {}", name_,
        number.dtype(), number.shape(), number.device(), parameters_[0].device());
  if (obeys_guard()) return step(view(number).as<const double>());
  if (std::isfinite(number.item<double>())) return step(nullptr);
  ++steps_;
}

void Optimizer::uncount_step() {
  check(steps_ > 0, "{}: no step was taken", name_);
  --steps_;
}

void Optimizer::step(const double* guard) {
  std::vector<std::vector<Active>> active(groups_.size());
  const Tensor* first = nullptr;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const Tensor gradient = parameters_[i].grad();
    if (!gradient.defined()) continue;
    if (!first) first = &parameters_[i];
    check(parameters_[i].device() == first->device(),
          "{}: parameter {} is on {}, parameter {} on {}; move the model as a whole", name_,
          names_[i], parameters_[i].device(), names_[static_cast<size_t>(first - &parameters_[0])],
          first->device());
    active[group_of_[i]].push_back({i, parameters_[i], gradient.detach().contiguous()});
  }
  const NoGrad scope;
  for (size_t group = 0; group < active.size(); ++group) {
    if (active[group].empty()) continue;
    update(active[group], {steps_ + 1, learning_rate(group), groups_[group].weight_decay, guard});
    for (const Active& changed : active[group]) changed.value.bump_version();
  }
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
    } else if (category(found->second.dtype()) != category(tensor.dtype())) {
      facts.push_back(
          fmt::format("{} is {}, the optimizer's {}", name, found->second.dtype(), tensor.dtype()));
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
  const auto steps = given.at("step").item<int64_t>();
  check(steps >= 0, "{}: state does not fit; step is {}", name_, steps);
  for (const auto& [name, tensor] : own) {
    if (name == "step") continue;
    const Tensor source = given.at(name).to(tensor.device());
    detail::copy_kernel(tensor.device(), view(tensor), view(source));
  }
  steps_ = steps;
}

}  // namespace tenet::optim
