#include <fmt/format.h>

#include <tenet/core/detail/core_kernels.h>
#include <tenet/core/detail/text.h>
#include <tenet/core/grad_mode.h>
#include <tenet/core/node.h>
#include <tenet/core/replay.h>
#include <tenet/nn/module.h>

#include <cxxabi.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <set>

namespace tenet {
namespace detail {

class TrainFields : public nn::Fields {
 public:
  explicit TrainFields(bool on) : on_(on) {}

 protected:
  using Fields::visit;
  void visit(nn::Module& module) override {
    module.training_ = on_;
    Fields::visit(module);
  }

 private:
  bool on_;
};

}  // namespace detail

namespace nn {
namespace {

/// A tensor and every name it is listed under.
struct Listed {
  std::vector<std::string> names;
  Tensor tensor;
  bool is_parameter;
};

class Listing : public Fields {
 public:
  explicit Listing(const Module& module) { (*this)("", const_cast<Module&>(module)); }
  std::vector<Listed> tensors;

 protected:
  using Fields::visit;
  void visit(Tensor& tensor, Kind kind) override {
    const auto [found, is_new] = index_.try_emplace(&tensor.body(), tensors.size());
    if (is_new) tensors.push_back({{}, tensor, kind == Kind::parameter});
    tensors[found->second].names.push_back(path());
  }

 private:
  std::map<const detail::TensorBody*, size_t> index_;
};

NamedTensors named(const Module& module, bool parameters) {
  NamedTensors result;
  for (const Listed& listed : Listing(module).tensors) {
    if (listed.is_parameter == parameters) result.emplace_back(listed.names[0], listed.tensor);
  }
  return result;
}

std::vector<Tensor> without_names(const NamedTensors& named) {
  std::vector<Tensor> result;
  for (const auto& [name, tensor] : named) result.push_back(tensor);
  return result;
}

/// Makes every handle to `tensor` one to `contents`, which has the same shape.
void replace_contents(const Tensor& tensor, const Tensor& contents) {
  detail::TensorBody& body = tensor.body();
  const detail::TensorBody& from = contents.body();
  body.storage = from.storage;
  body.strides = from.strides;
  body.offset = from.offset;
  body.dtype = from.dtype;
  if (!body.node) return;
  OutputInfo& info = body.node->outputs()[static_cast<size_t>(body.slot)];
  info.dtype = from.dtype;
  info.grad_dtype = grad_dtype(from.dtype);
  info.device = from.storage->device();
}

void convert_all(const Module& module, const std::function<Tensor(const Tensor&)>& convert) {
  const NoGrad no_grad;
  for (const Listed& listed : Listing(module).tensors) {
    const Tensor grad = listed.tensor.grad();
    const memory::Scope category(listed.is_parameter ? memory::Category::parameter
                                                     : memory::current_category());
    const Tensor converted = convert(listed.tensor);
    if (&converted.body() == &listed.tensor.body()) continue;
    const memory::Scope gradients(memory::Category::gradient);
    const Tensor converted_grad = grad.defined() ? convert(grad) : Tensor();
    replace_contents(listed.tensor, converted);
    if (grad.defined()) listed.tensor.set_grad(converted_grad);
  }
}

/// What a state has for each tensor of a module, and where the two disagree.
class StateMatch {
 public:
  StateMatch(const std::vector<Listed>& tensors, const StateDict& state) {
    std::set<std::string> known;
    for (const Listed& listed : tensors) {
      known.insert(listed.names.begin(), listed.names.end());
      const auto name =
          std::find_if(listed.names.begin(), listed.names.end(), [&](const std::string& candidate) {
            const auto entry = state.find(candidate);
            return entry != state.end() && entry->second.defined();
          });
      if (name == listed.names.end()) {
        report_.missing.push_back(listed.names[0]);
      } else {
        compare(*name, listed.tensor, state.at(*name));
      }
    }
    for (const auto& [name, tensor] : state) {
      if (!known.contains(name)) report_.unexpected.push_back(name);
    }
  }

  void check_all(bool strict) const {
    std::vector<std::string> facts = wrong_;
    if (strict && !report_.unexpected.empty()) {
      facts.insert(facts.begin(),
                   fmt::format("unexpected {}", fmt::join(report_.unexpected, ", ")));
    }
    if (strict && !report_.missing.empty()) {
      facts.insert(facts.begin(), fmt::format("missing {}", fmt::join(report_.missing, ", ")));
    }
    check(facts.empty(), "load_state_dict: {}", fmt::join(facts, "; "));
  }

  const std::vector<std::pair<Tensor, Tensor>>& pairs() const { return pairs_; }
  LoadReport& report() { return report_; }

 private:
  void compare(const std::string& name, const Tensor& to, const Tensor& from) {
    if (to.shape() != from.shape()) {
      wrong_.push_back(
          fmt::format("{} has shape {}, the module's {}", name, from.shape(), to.shape()));
    } else if (category(to.dtype()) != category(from.dtype())) {
      wrong_.push_back(fmt::format("{} is {}, the module's {}", name, from.dtype(), to.dtype()));
    } else {
      pairs_.emplace_back(to, from);
    }
  }

  LoadReport report_;
  std::vector<std::string> wrong_;
  std::vector<std::pair<Tensor, Tensor>> pairs_;
};

bool is_frozen(const Module& module) {
  const std::vector<Tensor> all = module.parameters();
  return !all.empty() &&
         std::none_of(all.begin(), all.end(), [](const Tensor& p) { return p.requires_grad(); });
}

class Tree : public Fields {
 public:
  explicit Tree(const Module& module) { (*this)("", const_cast<Module&>(module)); }
  std::string text;

 protected:
  using Fields::visit;
  void visit(Module& module) override {
    const std::string name = path().substr(std::min(path().size(), parent_length_));
    const size_t outer = parent_length_;
    const bool root = text.empty();
    const int64_t count = module.parameter_count();
    text += fmt::format("{:{}}{}{}, {} parameter{}{}\n", "", 2 * depth_,
                        root || name.empty() ? "" : name + ": ", module.describe(),
                        detail::with_commas(count), count == 1 ? "" : "s",
                        is_frozen(module) ? ", frozen" : "");
    parent_length_ = path().empty() ? 0 : path().size() + 1;
    ++depth_;
    Fields::visit(module);
    --depth_;
    parent_length_ = outer;
  }

 private:
  size_t parent_length_ = 0;
  int depth_ = 0;
};

}  // namespace

Module::Module(const Module& other) : training_(other.training_) {
  detail::CloneScope* scope = detail::CloneScope::current();
  check(scope != nullptr, "module: modules are not copied; use std::move or nn::clone");
  scope->note_copy(*this);
}

std::string Module::describe() const {
  int status = 0;
  const char* mangled = typeid(*this).name();
  char* demangled = abi::__cxa_demangle(mangled, nullptr, nullptr, &status);
  std::string name;
  for (const char* c = demangled ? demangled : mangled; *c; ++c) {
    name += *c;
    if (!name.ends_with("::")) continue;  // what came before is a namespace or class around it
    const size_t outer = name.find_last_of("<,", name.size() - 3);
    name.erase(outer == std::string::npos ? 0 : outer + 1);
  }
  std::free(demangled);
  return name;
}

std::vector<Tensor> Module::parameters() const { return without_names(named_parameters()); }
NamedTensors Module::named_parameters() const { return named(*this, true); }
std::vector<Tensor> Module::buffers() const { return without_names(named_buffers()); }
NamedTensors Module::named_buffers() const { return named(*this, false); }

int64_t Module::parameter_count() const {
  int64_t count = 0;
  for (const Tensor& parameter : parameters()) count += parameter.numel();
  return count;
}

void Module::train(bool on) {
  detail::TrainFields fields(on);
  fields("", *this);
}

bool Module::training() const {
  return replay([this] { return training_; });
}

void Module::set_requires_grad(bool requires_grad) {
  for (Tensor& parameter : parameters()) parameter.set_requires_grad(requires_grad);
}

void Module::to(DType dtype) {
  check(is_floating(dtype), "to: parameters cannot be {}; use a floating-point type", dtype);
  convert_all(*this, [dtype](const Tensor& tensor) {
    return is_floating(tensor.dtype()) ? tensor.to(dtype) : tensor;
  });
}

void Module::to(Device device) {
  convert_all(*this, [device](const Tensor& tensor) { return tensor.to(device); });
}

Device Module::device() const {
  const std::vector<Tensor> all = parameters();
  return all.empty() ? Device::cpu() : all[0].device();
}

StateDict Module::state_dict() const {
  StateDict state;
  for (const Listed& listed : Listing(*this).tensors) {
    state.emplace(listed.names[0], listed.tensor.detach());
  }
  return state;
}

LoadReport Module::load_state_dict(const StateDict& state, bool strict) {
  StateMatch match(Listing(*this).tensors, state);
  match.check_all(strict);
  for (const auto& [to, from] : match.pairs()) {
    const Tensor source = from.detach().to(to.device());
    detail::copy_kernel(to.device(), view(to), view(source));
    to.bump_version();
  }
  return std::move(match.report());
}

void Module::clear_grad() {
  for (const Tensor& parameter : parameters()) parameter.clear_grad();
}

std::string Module::to_string() const { return Tree(*this).text; }

}  // namespace nn
}  // namespace tenet
