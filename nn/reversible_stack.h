/// A stack of reversible functions of any kind: flows, momentum networks.
#pragma once

#include <tenet/core/reversible.h>
#include <tenet/nn/detail/module_handle.h>
#include <tenet/nn/module.h>

#include <concepts>
#include <memory>
#include <vector>

namespace tenet::nn {

/// A reversible function with parameters: what a ReversibleStack is made of. It gives as many
/// streams as it gets, and possibly one tensor more, its log-determinant.
class ReversibleModule : public Module, public ReversibleFunction {};

/// What a ReversibleStack gives.
struct StackOutput {
  Tensors y;       // the streams after the last block
  Tensor log_det;  // the sum of the blocks' log-determinants; undefined if none has one
};

/// Reversible modules one after another. Memory for activations does not grow with their number,
/// but for log-determinants: one number per batch element and block that has one.
///
///     nn::ReversibleStack flow;
///     for (int i = 0; i < 8; ++i) {
///       flow.add(std::make_shared<nn::InvertibleMixing>(6));
///       flow.add(std::make_shared<nn::AffineCoupling>(std::make_shared<Net>()));
///     }
///     auto [z, log_det] = flow(std::move(streams));
class ReversibleStack : public Module {
 public:
  /// `reversible`: false keeps every activation; the results are the same.
  explicit ReversibleStack(bool reversible = true) : reversible_(reversible) {}

  /// Appends a block. The same block may stand in several places.
  template <std::derived_from<ReversibleModule> Block>
  void add(std::shared_ptr<Block> block) {
    blocks_.emplace_back(std::move(block));
  }

  /// Streams that are moved in may be released.
  StackOutput operator()(Tensors x) const;
  /// The streams that operator() maps to y. Ordinary ops: differentiable, and not reversed.
  Tensors inverse(Tensors y) const;

  /// How many blocks.
  size_t size() const { return blocks_.size(); }
  /// False keeps every activation from now on; the results are the same.
  void set_reversible(bool reversible) { reversible_ = reversible; }
  void fields(Fields& f) override;

 private:
  bool reversible_;
  std::vector<detail::ModuleHandle<std::shared_ptr<ReversibleFunction>>> blocks_;
};

}  // namespace tenet::nn
