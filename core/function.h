/// Differentiable functions that a user writes, forward and backward by hand.
#pragma once

#include <tenet/core/node.h>

#include <any>
#include <type_traits>
#include <utility>

namespace tenet {

/// What forward() leaves for backward().
class Context {
 public:
  /// Keeps tensors: inputs, outputs or anything in between.
  template <class... T>
  void save(const T&... tensors) {
    (to_save_.push_back(tensors), ...);
  }
  /// The i-th saved tensor. Error if it was changed in place or freed since.
  Tensor saved(size_t i) const;
  /// How many tensors were saved.
  size_t saved_count() const { return saved_.size(); }
  /// Any other value, by type: `ctx.state<int>() = axis`.
  template <class T>
  T& state() {
    if (!state_.has_value()) state_.emplace<T>();
    return std::any_cast<T&>(state_);
  }
  /// Whether the gradient of the i-th tensor argument is wanted, in forward() and in backward().
  bool needs_grad(size_t i) const {
    return node_ ? node_->needs_grad(i) : i < wanted_.size() && wanted_[i];
  }

 private:
  template <class F>
  friend struct FunctionNode;
  template <class F>
  friend struct Function;
  Tensors to_save_;
  std::vector<Saved> saved_;
  std::any state_;
  std::vector<bool> wanted_;  // until there is a node
  const Node* node_ = nullptr;
};

/// The node that an application of F makes: its backward() is F's.
template <class F>
struct FunctionNode : Node {
  Context context;  // what forward() left
  Tensors backward(const Tensors& dy) override { return F::backward(context, dy); }
  void saved(SavedFields& f) override { f("saved", context.saved_); }
};

/// Derive and write two static functions; call `Square::apply(x)`. backward() gets one gradient per
/// output and returns one per tensor argument, in order; written with ops, it can itself be
/// differentiated.
///
///     struct Square : Function<Square> {
///       static Tensor forward(Context& ctx, const Tensor& x) { ctx.save(x); return x * x; }
///       static Tensors backward(Context& ctx, Tensors dy) { return {2 * ctx.saved(0) * dy[0]}; }
///     };
template <class F>
struct Function {
  /// forward(context, args...), entered into the graph. The arguments may be tensors, lists of them
  /// and anything else; gradients go to the tensors among them.
  template <class... Args>
  static auto apply(const Args&... args) {
    Tensors inputs;
    (collect(inputs, args), ...);
    Context context;
    for (const Tensor& x : inputs) {
      context.wanted_.push_back(grad_enabled() && x.defined() && x.requires_grad());
    }
    auto run = [&] {
      const NoGrad scope;
      return F::forward(context, args...);
    };
    auto result = run();
    if constexpr (std::is_same_v<decltype(result), Tensor>) {
      Tensors outputs{result.detach()};
      finish(context, outputs, Tensors{result}, inputs);
      return outputs[0];
    } else {
      Tensors outputs;
      for (const Tensor& y : result) outputs.push_back(y.detach());
      finish(context, outputs, result, inputs);
      return outputs;
    }
  }

 private:
  template <class T>
  static void collect(Tensors& inputs, const T& argument) {
    if constexpr (std::is_convertible_v<const T&, const Tensor&>) inputs.push_back(argument);
    if constexpr (std::is_same_v<T, Tensors>)
      inputs.insert(inputs.end(), argument.begin(), argument.end());
  }

  static void finish(Context& context, Tensors& outputs, const Tensors& raw,
                     const Tensors& inputs) {
    auto* node = record<FunctionNode<F>>("function", outputs, inputs);
    if (!node) return;
    for (const Tensor& tensor : context.to_save_) {
      Tensor kept = tensor;
      for (size_t i = 0; i < raw.size(); ++i) {
        const bool same = tensor.defined() && &raw[i].body() == &tensor.body();
        if (same) kept = outputs[i];
      }
      context.saved_.emplace_back(kept);
    }
    context.to_save_.clear();
    node->context = std::move(context);
    node->context.node_ = node;
  }
};

}  // namespace tenet
