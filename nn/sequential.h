/// Modules one after another.
#pragma once

#include <tenet/nn/detail/module_handle.h>
#include <tenet/nn/module.h>

#include <concepts>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace tenet::nn {

/// y = module_n(... module_1(module_0(x))), of modules Tensor -> Tensor of any types, listed as
/// "0", "1", ...; y = x if there are none.
///
///     nn::Sequential mlp(nn::Linear(2, 8), nn::Gelu(), nn::Linear(8, 1));
///
/// Modules are moved in, or shared if given by shared_ptr. A list of modules that are not simply
/// one after another is a std::vector member (nn/fields.h).
class Sequential : public Module {
 public:
  Sequential() = default;
  /// Of these modules, in their order.
  template <class... M>
  requires(sizeof...(M) > 1 || !(std::same_as<std::remove_cvref_t<M>, Sequential> ||
                                 ...)) explicit Sequential(M&&... modules) {
    parts_.reserve(sizeof...(M));
    (add(std::forward<M>(modules)), ...);
  }

  /// Appends a module.
  template <std::derived_from<Module> M>
  Sequential& add(M&& module) {
    return add(std::make_shared<M>(std::forward<M>(module)));
  }
  template <std::derived_from<Module> M>
  Sequential& add(std::shared_ptr<M> module) {
    parts_.emplace_back(std::move(module));
    return *this;
  }

  Tensor operator()(const Tensor& x) const;
  /// How many modules.
  size_t size() const { return parts_.size(); }
  /// Module i. Error: no such module, or it is of another type.
  template <std::derived_from<Module> M>
  M& get(size_t i) const {
    M* found = dynamic_cast<M*>(&module(i));
    check(found != nullptr, "sequential: module {} is {}, not of the type asked for", i,
          module(i).describe());
    return *found;
  }
  /// Module i, whatever its type. Error: no such module.
  Module& module(size_t i) const;
  void fields(Fields& f) override;

 private:
  struct Part {
    template <class M>
    Part(std::shared_ptr<M> m)  // NOLINT(google-explicit-constructor): what a ModuleHandle gives
        : module(m.get()), call([m](const Tensor& x) { return (*m)(x); }) {}
    Module* module;
    std::function<Tensor(const Tensor&)> call;
  };
  std::vector<detail::ModuleHandle<Part>> parts_;
};

/// A function as a module, for a Sequential: nn::Lambda([](const Tensor& x) { return x * 2; }).
class Lambda : public Module {
 public:
  explicit Lambda(std::function<Tensor(const Tensor&)> function, std::string name = "Lambda")
      : function_(std::move(function)), name_(std::move(name)) {}

  Tensor operator()(const Tensor& x) const { return function_(x); }
  void fields(Fields&) override {}
  std::string describe() const override { return name_; }

 private:
  std::function<Tensor(const Tensor&)> function_;
  std::string name_;
};

/// (B, ...) -> (B, the product of the other sizes).
struct Flatten : Module {
  Tensor operator()(const Tensor& x) const;
  void fields(Fields&) override {}
};

}  // namespace tenet::nn
