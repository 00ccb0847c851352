/// The backward walk.
#pragma once

#include <tenet/core/grad_mode.h>
#include <tenet/core/node.h>
#include <tenet/core/tensor.h>

#include <vector>

namespace tenet {

/// How backward() walks.
struct BackwardOptions {
  /// The gradient of the loss with respect to y; y's shape. Undefined means 1, for a one-element y.
  Tensor dy = {};
  /// Keeps what the nodes saved, so that the graph can be walked again.
  bool retain_graph = false;
  /// Records the walk itself, for second derivatives. Implies retain_graph.
  bool create_graph = false;
};

/// How grad() walks.
struct GradOptions {
  /// The gradient of the loss with respect to each of the ys; empty or undefined as in
  /// BackwardOptions.
  Tensors dy = {};
  /// As in BackwardOptions.
  bool retain_graph = false;
  bool create_graph = false;
  /// Gives an undefined tensor, not an error, for an x that no y depends on.
  bool allow_unused = false;
};

/// Adds dL/dx to x.grad() of every leaf x that y depends on, where dL/dy = options.dy.
/// Errors: y has no graph; y has several elements and no dy; dy of another shape or type; a graph
/// already freed.
void backward(const Tensor& y, BackwardOptions options = {});

/// The gradients of sum_i <dy_i, y_i> with respect to xs, in their order; no leaf's grad() changes.
Tensors grad(Tensors ys, Tensors xs, GradOptions options = {});

namespace detail {

struct WalkOptions {
  bool retain_graph = false;
  bool create_graph = false;
  bool accumulate_in_leaves = false;
  bool stop_at_targets = false;  // do not walk beyond a target
};

/// Walks the graph below `roots` from the gradients `droots`; returns the gradient at each target
/// edge.
Tensors walk(const std::vector<Edge>& roots, Tensors droots, const std::vector<Edge>& targets,
             const WalkOptions& options);

/// The gradients that the walk on this thread gives a node's backward() while it lives: they are
/// not used afterwards.
class GivenGradients {
 public:
  explicit GivenGradients(Tensors& gradients);
  ~GivenGradients();
  GivenGradients(const GivenGradients&) = delete;
  GivenGradients& operator=(const GivenGradients&) = delete;

 private:
  Tensors* previous_;
};
/// The gradients: taken from the walk if they are the GivenGradients, so that their bytes may go
/// before backward() returns, else copies of the handles.
Tensors take_gradients(const Tensors& gradients);
/// Whether backward() may write a result over `dy`: it is one of the GivenGradients and nobody else
/// sees its bytes.
bool may_overwrite(const Tensor& dy);
/// Whether backward() of `node` may write a result over what it saved, once it has called
/// release_saved(): nobody else sees the bytes, and no later walk reads them.
bool may_overwrite(const Node& node, const Saved& saved);
/// a += b where a is nobody else's, else a new tensor. Differentiable in create_graph walks.
Tensor accumulate(Tensor a, const Tensor& b);
/// x summed to `shape`, which broadcasts to x's shape. Differentiable.
Tensor sum_to(const Tensor& x, const Shape& shape);
/// A view of x with stride 0 along broadcast axes. Differentiable.
Tensor expand(const Tensor& x, const Shape& shape);

}  // namespace detail
}  // namespace tenet
