#include <tenet/core/detail/capture.h>
#include <tenet/core/detail/core_kernels.h>
#include <tenet/core/graph.h>
#include <tenet/core/node.h>
#include <tenet/core/reversible.h>

#include <atomic>
#include <cmath>

namespace tenet {
namespace {

std::atomic<uint64_t> next_sequence{0};

/// The name under which a node lists the field at `address`.
struct FieldName : SavedFields {
  explicit FieldName(const Saved* address) : address(address) {}
  void operator()(std::string_view field, Saved& saved) override {
    if (&saved == address) name = field;
  }
  const Saved* address;
  std::string name = "tensor";
};

std::string name_of(const Saved* field, const Node& owner) {
  FieldName visitor(field);
  const_cast<Node&>(owner).saved(visitor);
  return visitor.name;
}

}  // namespace

Saved::Saved(const Tensor& tensor, detail::Storage::Holder holder) {
  if (!tensor.defined()) return;
  const detail::TensorBody& body = tensor.body();
  storage_ = body.storage.as(holder);
  shape_ = body.shape;
  strides_ = body.strides;
  offset_ = body.offset;
  dtype_ = body.dtype;
  fraction_bits_ = body.fraction_bits;
  version_ = storage_->version();
  creator_ = body.node.get();
  slot_ = body.slot;
}

int64_t Saved::bytes() const { return defined() ? shape_.numel() * itemsize(dtype_) : 0; }

Tensor Saved::tensor() const {
  auto body = std::make_shared<detail::TensorBody>();
  body->storage = storage_.as(detail::Storage::Holder::user);
  body->shape = shape_;
  body->strides = strides_;
  body->offset = offset_;
  body->dtype = dtype_;
  body->fraction_bits = fraction_bits_;
  return Tensor(std::move(body));
}

Tensor Saved::get(const Node& owner) const {
  if (!defined()) return {};
  if (storage_->released()) {
    const auto& restorer = storage_->restorer();
    fail(
        "{}: saved {} of shape {} was released by {} and is rebuilt only inside backward; keep a "
        "copy of the tensor to read it later",
        owner.name(), name_of(this, owner), shape_, restorer ? restorer->name() : "its node");
  }
  check(
      !changed(),
      "{}: saved {} of shape {} was changed in place after it was saved (version {}, saved at {}); "
      "change a clone() instead",
      owner.name(), name_of(this, owner), shape_, storage_->version(), version_);
  Tensor result = tensor();
  if (creator_ == &owner) {
    result.body().node = const_cast<Node&>(owner).shared_from_this();
    result.body().slot = slot_;
  } else if (creator_) {
    for (const Edge& edge : owner.edges()) {
      if (edge.node.get() != creator_ || edge.slot != slot_) continue;
      result.body().node = edge.node;
      result.body().slot = slot_;
      break;
    }
  }
  return result;
}

Node::~Node() {
  for (Edge& edge : edges_) detail::dispose(std::move(edge.node));
}

void Node::initialize(std::string_view name, std::vector<Edge> edges) {
  name_ = name;
  edges_ = std::move(edges);
  sequence_ = next_sequence.fetch_add(1, std::memory_order_relaxed);
}

void Node::add_output(Tensor& y) {
  detail::TensorBody& body = y.body();
  check(!body.node, "{}: an op's output must be a new tensor outside the graph", name_);
  outputs_.push_back(
      {body.shape, grad_dtype(body.dtype), body.storage->device(), {}, {}, body.dtype});
  if (!is_differentiable(body.dtype)) return;
  body.node = shared_from_this();
  body.slot = static_cast<int>(outputs_.size()) - 1;
}

void Node::release_saved() {
  struct Release : SavedFields {
    void operator()(std::string_view, Saved& field) override {
      any = any || field.defined();
      field.reset();
    }
    bool any = false;
  } release;
  saved(release);
  released_ = released_ || release.any;
}

Leaf::Leaf(const Tensor& tensor) {
  initialize("leaf", {});
  outputs().push_back(
      {tensor.shape(), grad_dtype(tensor.dtype()), tensor.device(), {}, {}, tensor.dtype()});
}

Tensors Leaf::backward(const Tensors&) { return {}; }

namespace detail {

CaptureList::CaptureList() : start_(next_sequence.load(std::memory_order_relaxed)) {}

void CaptureList::note(const Tensor& tensor) {
  Edge edge = edge_of(tensor);
  if (!edge.node->is_leaf() && edge.node->sequence() >= start_) return;
  for (const Item& item : items_) {
    if (item.edge == edge) return;
  }
  items_.push_back({std::move(edge), Saved(tensor)});
}

bool wants_node(const Tensor* const* inputs, size_t count) {
  const GradMode& mode = grad_mode();
  if (!mode.enabled && !mode.captures) return false;
  bool any = false;
  for (size_t i = 0; i < count; ++i) {
    if (!inputs[i]->defined() || !inputs[i]->requires_grad()) continue;
    any = true;
    if (mode.captures) mode.captures->note(*inputs[i]);
  }
  return any && mode.enabled;
}

std::vector<Edge> edges_of(const Tensor* const* inputs, size_t count) {
  std::vector<Edge> edges(count);
  for (size_t i = 0; i < count; ++i) {
    if (inputs[i]->defined()) edges[i] = edge_of(*inputs[i]);
  }
  return edges;
}

void observe(Node& node, Tensor* const* outputs, size_t output_count, const Tensor* const* inputs,
             size_t input_count) {
  std::string origin;
  for (size_t i = 0; i < input_count; ++i) {
    if (!inputs[i]->defined()) continue;
    const Node* maker = inputs[i]->body().node.get();
    origin += fmt::format("{}{} {}", origin.empty() ? "" : ", ", inputs[i]->shape(),
                          maker ? graph::label(*maker) : "constant");
  }
  node.set_origin(std::move(origin));
  for (size_t i = 0; i < output_count; ++i) {
    const int64_t bad = first_non_finite(*outputs[i]);
    check(bad < 0, "{}: forward gave a non-finite value at element {} of {}; its inputs: {}",
          graph::label(node), bad, outputs[i]->shape(), node.origin());
  }
}

void observe_untracked(std::string_view name, const Tensor& output) {
  const int64_t bad = first_non_finite(output);
  check(bad < 0, "{}: forward gave a non-finite value at element {} of {}", name, bad,
        output.shape());
}

int64_t first_non_finite(const Tensor& tensor) {
  if (!is_floating(tensor.dtype())) return -1;
  const NoGrad scope;
  const std::vector<double> values = tensor.detach().to_vector<double>();
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) return static_cast<int64_t>(i);
  }
  return -1;
}

}  // namespace detail
}  // namespace tenet
