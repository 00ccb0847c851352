/// The autograd graph: nodes, their edges, and what they save.
///
/// Edges hold no data and saved fields hold no edges: a node that saves nothing keeps no tensor
/// alive, and what a node saves can be listed, measured and freed without touching the graph's
/// shape.
#pragma once

#include <tenet/core/detail/trace_hook.h>
#include <tenet/core/grad_mode.h>
#include <tenet/core/tensor.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace tenet {

class Node;

/// Where a gradient goes: output `slot` of `node`. Empty if the tensor needs no gradient.
struct Edge {
  std::shared_ptr<Node> node;  // null where no gradient goes
  int slot = 0;                // which of the node's outputs

  /// Whether a gradient goes anywhere.
  explicit operator bool() const { return node != nullptr; }
  friend bool operator==(const Edge&, const Edge&) = default;
};

/// The place of a tensor in the graph.
inline Edge edge_of(const Tensor& tensor) { return {tensor.body().node, tensor.body().slot}; }

/// A tensor kept for the backward pass: its storage, geometry and version, and where its gradient
/// would go.
class Saved {
 public:
  Saved() = default;
  /// Holds the bytes as a saver, or in another role (core/storage.h).
  Saved(const Tensor& tensor)  // NOLINT(google-explicit-constructor): `node->x = x;`
      : Saved(tensor, detail::Storage::Holder::saver) {}
  Saved(const Tensor& tensor, detail::Storage::Holder holder);

  /// False for an undefined tensor, and after reset().
  bool defined() const { return static_cast<bool>(storage_); }
  /// The tensor, with its place in the graph of `owner`. Error if it was changed in place, released
  /// or already freed.
  Tensor get(const Node& owner) const;
  /// The tensor outside any graph; null bytes if released.
  Tensor tensor() const;
  /// Whether the storage was written to since the tensor was saved.
  bool changed() const { return storage_ && storage_->version() != version_; }
  /// Lets go of the bytes.
  void reset() { *this = Saved(); }

  /// Of the tensor as it was saved; these stay readable when its bytes are released.
  const Shape& shape() const { return shape_; }
  DType dtype() const { return dtype_; }
  /// Of the elements, not of the storage that they may be a part of.
  int64_t bytes() const;
  /// Where the bytes are; null after reset().
  detail::Storage* storage() const { return storage_.get(); }

 private:
  detail::StorageRef storage_;
  Shape shape_;
  Strides strides_;
  int64_t offset_ = 0;
  DType dtype_ = DType::f32;
  int fraction_bits_ = 0;
  uint32_t version_ = 0;
  const Node* creator_ = nullptr;  // identity only: an edge of the owner, or the owner itself
  int slot_ = 0;
};

/// Visits a node's saved fields by name.
class SavedFields {
 public:
  virtual ~SavedFields() = default;
  /// Called with each field.
  virtual void operator()(std::string_view name, Saved& field) = 0;
  /// Each tensor of a list under the same name.
  void operator()(std::string_view name, std::vector<Saved>& fields) {
    for (Saved& field : fields) (*this)(name, field);
  }
};

/// What the engine knows about one output of a node.
struct OutputInfo {
  Shape shape;                                              // of the output, and so of its gradient
  DType grad_dtype = DType::f32;                            // of the gradient
  Device device;                                            // of both
  std::vector<std::function<Tensor(const Tensor&)>> hooks;  // what on_grad() was given
  std::shared_ptr<Tensor> retained;  // where retain_grad() keeps the gradient
  DType dtype = DType::f32;          // of the output itself
};

/// One op's place in the graph. Derive, list the saved fields, and write backward():
///
///     struct ExpNode : Node {
///       Saved y;
///       Tensors backward(const Tensors& dy) override { return {mul(dy[0], y.get(*this))}; }
///       void saved(SavedFields& f) override { f("y", y); }
///     };
class Node : public detail::Disposable, public std::enable_shared_from_this<Node> {
 public:
  Node() = default;
  virtual ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  /// The gradient of each input from that of each output. dy has one tensor per output, undefined
  /// where no gradient came (never for a node with one output). An undefined result means zero.
  /// Results that were broadcast are summed by the engine, and only the engine accumulates. With
  /// grad mode on, ops used here are recorded.
  virtual Tensors backward(const Tensors& dy) = 0;
  /// Lists the saved fields; a node that saves nothing need not.
  virtual void saved(SavedFields&) {}
  /// True if backward() cannot itself be differentiated.
  virtual bool once_differentiable() const { return false; }
  /// Frees what the node saved; a later backward() is an error if there was anything.
  virtual void release_saved();
  /// Runs once for every node of a walk when the walk is over, also after an exception.
  virtual void end_walk() noexcept {}
  /// Whether the node collects the gradient of a leaf tensor.
  virtual bool is_leaf() const { return false; }
  /// What rebuilds the inputs of a reversible node; null for all others.
  virtual const detail::Restorer* rebuilder() const { return nullptr; }

  /// The op's, as in errors and pictures.
  const std::string& name() const { return name_; }
  /// Creation order; larger is later.
  uint64_t sequence() const { return sequence_; }
  /// Where the gradient of each input goes.
  const std::vector<Edge>& edges() const { return edges_; }
  /// What is known of each output.
  const std::vector<OutputInfo>& outputs() const { return outputs_; }
  std::vector<OutputInfo>& outputs() { return outputs_; }
  /// Whether the gradient of this input is wanted.
  bool needs_grad(size_t input) const { return input < edges_.size() && bool(edges_[input]); }
  /// Whether what it saved was freed, so that it cannot run again.
  bool released() const { return released_; }
  /// Whether the walk that runs backward() frees what the node saved right afterwards.
  bool last_walk() const { return last_walk_; }
  void set_last_walk(bool last) { last_walk_ = last; }
  /// In anomaly mode: the inputs at the time of recording, in words.
  const std::string& origin() const { return origin_; }

  /// For record(): gives the node its name, place in the order and inputs.
  void initialize(std::string_view name, std::vector<Edge> edges);
  /// Makes `y` the next output of this node.
  void add_output(Tensor& y);
  /// Sets origin().
  void set_origin(std::string origin) { origin_ = std::move(origin); }

 private:
  std::string name_;
  uint64_t sequence_ = 0;
  std::vector<Edge> edges_;
  std::vector<OutputInfo> outputs_;
  bool released_ = false, last_walk_ = false;
  std::string origin_;
};

/// Where a leaf's gradient is added up. Held by the leaf and by every node that uses it; knows
/// nothing of either.
class Leaf : public Node {
 public:
  /// The leaf of `tensor`, which it does not hold.
  explicit Leaf(const Tensor& tensor);
  Tensors backward(const Tensors& dy) override;
  bool is_leaf() const override { return true; }

  Tensor grad;  // the sum so far; undefined before the first gradient
};

namespace detail {

/// True if an op on these inputs has to enter the graph; in capture mode, notes the inputs and
/// answers no.
bool wants_node(const Tensor* const* inputs, size_t count);
std::vector<Edge> edges_of(const Tensor* const* inputs, size_t count);
/// In anomaly mode: remembers the inputs in words and checks the outputs.
void observe(Node& node, Tensor* const* outputs, size_t output_count, const Tensor* const* inputs,
             size_t input_count);
/// Anomaly check of an op that has no node.
void observe_untracked(std::string_view name, const Tensor& output);

}  // namespace detail

/// What record() does, for inputs given by pointers.
template <class N>
N* record_list(std::string_view name, const std::vector<Tensor*>& outputs,
               const Tensor* const* inputs, size_t count) {
  const auto differentiable = [](const Tensor* y) { return is_differentiable(y->dtype()); };
  if (!detail::wants_node(inputs, count) ||
      std::none_of(outputs.begin(), outputs.end(), differentiable)) {  // nothing would own the node
    if (anomaly_enabled()) {
      for (const Tensor* y : outputs) detail::observe_untracked(name, *y);
    }
    if (detail::tracer) {
      detail::trace_op(name, outputs.data(), outputs.size(), inputs, count, nullptr);
    }
    return nullptr;
  }
  auto node = std::make_shared<N>();
  node->initialize(name, detail::edges_of(inputs, count));
  for (Tensor* y : outputs) node->add_output(*y);
  if (anomaly_enabled()) {
    detail::observe(*node, outputs.data(), outputs.size(), inputs, count);
  }
  if (detail::tracer) {
    detail::trace_op(name, outputs.data(), outputs.size(), inputs, count, node.get());
  }
  return node.get();
}

/// Enters an op into the graph: if any input needs a gradient (and grad mode is on), makes a node
/// with an edge per input, makes `y` its output and returns it, else returns null. Then save what
/// backward() needs:
///
///     if (auto* node = record<ExpNode>("exp", y, x)) node->y = y;
template <class N, class... Inputs>
N* record(std::string_view name, Tensor& y, const Inputs&... inputs) {
  const Tensor* const list[] = {&inputs...};
  return record_list<N>(name, {&y}, list, sizeof...(Inputs));
}

/// The same for any number of outputs and inputs.
template <class N>
N* record(std::string_view name, Tensors& ys, const Tensors& inputs) {
  std::vector<Tensor*> outputs;
  std::vector<const Tensor*> list;
  for (Tensor& y : ys) outputs.push_back(&y);
  for (const Tensor& x : inputs) list.push_back(&x);
  return record_list<N>(name, outputs, list.data(), list.size());
}

}  // namespace tenet
