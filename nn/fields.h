/// Fields: what a module's one listing of its members serves. state_dict(), parameter counts,
/// moves, train(), printing and clone() are each a Fields that walks the list.
#pragma once

#include <tenet/core/tensor.h>
#include <tenet/nn/detail/clone_scope.h>

#include <concepts>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tenet::nn {

class Module;

/// The visitor that Module::fields() talks to. Names join with dots: "layers.3.attention.weight".
class Fields {
 public:
  virtual ~Fields() = default;

  /// A module below this one. With an empty name its fields are listed as this module's own.
  void operator()(std::string_view name, Module& module);
  /// A module held by pointer or optional; none is skipped.
  template <std::derived_from<Module> M>
  void operator()(std::string_view name, std::shared_ptr<M>& module) {
    if (!module) return;
    if (detail::CloneScope* scope = cloning()) module = scope->copy_of(module);
    (*this)(name, *module);
  }
  template <std::derived_from<Module> M>
  void operator()(std::string_view name, std::unique_ptr<M>& module) {
    if (module) (*this)(name, *module);
  }
  template <std::derived_from<Module> M>
  void operator()(std::string_view name, std::optional<M>& module) {
    if (module) (*this)(name, *module);
  }
  /// A list: "name.0", "name.1", ...
  template <class M>
  void operator()(std::string_view name, std::vector<M>& modules) {
    for (size_t i = 0; i < modules.size(); ++i) (*this)(indexed(name, i), modules[i]);
  }
  /// Modules by name: "name.key".
  template <class M>
  void operator()(std::string_view name, std::map<std::string, M>& modules) {
    for (auto& [key, module] : modules) (*this)(joined(name, key), module);
  }

  /// A tensor that is trained; undefined ones are skipped.
  void parameter(std::string_view name, Tensor& tensor);
  void parameter(std::string_view name, std::vector<Tensor>& tensors);
  /// A tensor that is saved and moved with the module but not trained.
  void buffer(std::string_view name, Tensor& tensor);

 protected:
  /// What a tensor is to its module: trained, or only saved and moved.
  enum class Kind { parameter, buffer };

  /// The module and everything below it; the default walks on.
  virtual void visit(Module& module);
  /// One tensor; the default does nothing.
  virtual void visit(Tensor&, Kind) {}
  /// For clone(): where the modules held by pointer are copied to; null for all others.
  virtual detail::CloneScope* cloning() { return nullptr; }
  /// Where the walk is.
  const std::string& path() const { return path_; }

 private:
  static std::string indexed(std::string_view name, size_t i);
  static std::string joined(std::string_view name, std::string_view key);
  void tensor(std::string_view name, Tensor& tensor, Kind kind);

  std::string path_;
};

}  // namespace tenet::nn
