/// Modules of any type in one list.
#pragma once

#include <tenet/core/error.h>
#include <tenet/nn/fields.h>
#include <tenet/nn/module.h>

#include <concepts>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

namespace tenet::detail {

/// A module of any type, held by shared_ptr and used as `Use`: a pointer to one of its bases, or a
/// function that calls it. Copies share the module until clone() separates them.
template <class Use>
class ModuleHandle {
 public:
  template <std::derived_from<nn::Module> M>
  explicit ModuleHandle(std::shared_ptr<M> module) {
    check(module != nullptr, "module: the pointer is null");
    held_ = std::make_unique<Held<M>>(std::move(module));
  }
  ModuleHandle(const ModuleHandle& other) : held_(other.held_->copy()) {}
  ModuleHandle(ModuleHandle&&) noexcept = default;
  ModuleHandle& operator=(ModuleHandle&&) noexcept = default;

  void fields(nn::Fields& f, const std::string& name) { held_->fields(f, name); }
  Use get() const { return held_->get(); }

 private:
  struct Holder {
    virtual ~Holder() = default;
    virtual std::unique_ptr<Holder> copy() const = 0;
    virtual void fields(nn::Fields& f, const std::string& name) = 0;
    virtual Use get() const = 0;
  };
  template <class M>
  struct Held : Holder {
    explicit Held(std::shared_ptr<M> m) : module(std::move(m)) {}
    std::unique_ptr<Holder> copy() const override { return std::make_unique<Held>(module); }
    void fields(nn::Fields& f, const std::string& name) override { f(name, module); }
    Use get() const override {
      if constexpr (std::is_convertible_v<std::shared_ptr<M>, Use>) {
        return module;
      } else {
        return [module = module](const Tensor& x) { return (*module)(x); };
      }
    }
    std::shared_ptr<M> module;
  };
  std::unique_ptr<Holder> held_;
};

}  // namespace tenet::detail
