#include <tenet/core/grad_mode.h>
#include <tenet/nn/module.h>

namespace tenet::detail {
namespace {

thread_local CloneScope* current_scope = nullptr;

/// Replaces every handle by a handle to a tensor of its own.
class SeparateTensors : public nn::Fields {
 public:
  explicit SeparateTensors(CloneScope& scope) : scope_(scope) {}

 protected:
  void visit(nn::Module& module) override {
    check(scope_.made_here(module),
          "clone: {} is held by a pointer that clone() cannot follow; list the pointer itself",
          path().empty() ? module.describe() : path());
    nn::Fields::visit(module);
  }
  void visit(Tensor& tensor, Kind kind) override {
    const TensorBody* body = &tensor.body();
    if (made_.contains(body)) return;
    Tensor& copy = copies_[body];
    if (!copy.defined()) {
      const NoGrad no_grad;
      const memory::Scope category(kind == Kind::parameter ? memory::Category::parameter
                                                           : memory::current_category());
      copy = tensor.clone();
      copy.set_requires_grad(tensor.requires_grad());
      made_.insert(&copy.body());
      originals_.push_back(tensor);
    }
    tensor = copy;
  }
  CloneScope* cloning() override { return &scope_; }

 private:
  CloneScope& scope_;
  std::map<const TensorBody*, Tensor> copies_;
  std::set<const TensorBody*> made_;
  Tensors originals_;  // kept so that no address is used twice
};

}  // namespace

CloneScope::CloneScope() : outer_(current_scope) { current_scope = this; }

CloneScope::~CloneScope() { current_scope = outer_; }

CloneScope* CloneScope::current() { return current_scope; }

void CloneScope::separate_tensors(nn::Module& copy) { SeparateTensors (*this)("", copy); }

void CloneScope::check_type(const nn::Module& module, const std::type_info& type, bool copyable) {
  check(copyable && typeid(module) == type,
        "clone: a {} is held as its base or has members that cannot be copied; hold it by its own "
        "type",
        module.describe());
}

}  // namespace tenet::detail
