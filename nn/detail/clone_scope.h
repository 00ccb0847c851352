/// The deep copying behind nn::clone().
#pragma once

#include <tenet/core/tensor.h>

#include <map>
#include <memory>
#include <set>
#include <type_traits>
#include <typeinfo>

namespace tenet::nn {

class Module;

}  // namespace tenet::nn

namespace tenet::detail {

class TrainFields;

/// Module's copy constructor works only while one lives on this thread. Everything is copied once:
/// what was shared inside the original is shared inside the copy.
class CloneScope {
 public:
  CloneScope();
  ~CloneScope();
  CloneScope(const CloneScope&) = delete;
  CloneScope& operator=(const CloneScope&) = delete;

  static CloneScope* current();

  /// The copy of what `module` points to.
  template <class M>
  std::shared_ptr<M> copy_of(const std::shared_ptr<M>& module) {
    if (!module || made_here(*module)) return module;
    if (const auto found = shared_.find(module.get()); found != shared_.end()) {
      return std::static_pointer_cast<M>(found->second);
    }
    check_type(*module, typeid(M), std::is_copy_constructible_v<M>);
    if constexpr (std::is_copy_constructible_v<M>) {
      auto copy = std::make_shared<M>(*module);
      shared_.emplace(module.get(), copy);
      return copy;
    } else {
      return nullptr;
    }
  }

  /// Called by Module's copy constructor.
  void note_copy(const nn::Module& copy) { copies_.insert(&copy); }
  bool made_here(const nn::Module& module) const { return copies_.contains(&module); }
  /// Gives `copy`, whose handles are still the original's, tensors of its own.
  void separate_tensors(nn::Module& copy);
  /// Error unless a copy made as type `type` would be all of `module`.
  static void check_type(const nn::Module& module, const std::type_info& type, bool copyable);

 private:
  CloneScope* outer_;
  std::map<const nn::Module*, std::shared_ptr<nn::Module>> shared_;
  std::set<const nn::Module*> copies_;
};

}  // namespace tenet::detail
