#include <tenet/core/detail/graph_facts.h>
#include <tenet/core/detail/text.h>
#include <tenet/core/explain.h>

#include <algorithm>

namespace tenet {
namespace {

using detail::count_of;
using detail::SavedFact;
using detail::with_commas;

constexpr size_t most_listed = 6;

/// "a, b and c", at most six of them.
std::string listed(std::vector<std::string> items) {
  if (items.size() > most_listed) {
    const auto more = static_cast<int64_t>(items.size() - most_listed + 1);
    items.resize(most_listed - 1);
    items.push_back(with_commas(more) + " more");
  }
  std::string text;
  for (size_t i = 0; i < items.size(); ++i) {
    text += i == 0 ? "" : i + 1 == items.size() ? " and " : ", ";
    text += items[i];
  }
  return text;
}

std::string what_it_is(const Tensor& tensor) {
  const int64_t bytes = tensor.numel() * itemsize(tensor.dtype());
  const int64_t stored = tensor.body().storage->bytes();
  std::string text = fmt::format("A tensor of shape {}, {}, on {}", tensor.shape(), tensor.dtype(),
                                 tensor.device());
  if (!tensor.is_contiguous()) text += fmt::format(", with strides {}", tensor.strides());
  if (detail::spans_storage(tensor)) return text + fmt::format("; {} bytes.", with_commas(bytes));
  return text + fmt::format("; a view of storage of {} bytes.", with_commas(stored));
}

std::string inputs_of(const Node& node, const detail::GraphNames& names) {
  std::vector<std::string> inputs;
  for (const Edge& edge : node.edges()) {
    if (!edge) {
      inputs.emplace_back("a constant");
      continue;
    }
    const OutputInfo& info = edge.node->outputs()[static_cast<size_t>(edge.slot)];
    inputs.push_back(fmt::format("{} {}", names.label(*edge.node), info.shape));
  }
  return listed(std::move(inputs));
}

std::string saved_by(const Node& node, const detail::GraphNames& names) {
  const std::vector<SavedFact> facts = detail::saved_facts(node);
  if (node.released()) {
    return fmt::format(" What {} saved was freed by an earlier backward.", graph::label(node));
  }
  if (facts.empty()) return fmt::format(" {} saved nothing.", graph::label(node));
  std::vector<std::string> there;
  std::string freed;
  for (const SavedFact& fact : facts) {
    if (!fact.released) {
      there.push_back(
          fmt::format("{} {}, {} bytes", fact.name, fact.shape, with_commas(fact.bytes)));
      continue;
    }
    freed += fmt::format(
        " Its {} {} is not there: {} freed its {} bytes and will rebuild them in the backward "
        "pass.",
        fact.name, fact.shape, names.rebuilder(fact.rebuilder), with_commas(fact.bytes));
  }
  if (there.empty()) return fmt::format(" {} holds nothing.", graph::label(node)) + freed;
  return fmt::format(" {} holds {}.", graph::label(node), listed(std::move(there))) + freed;
}

/// A permission to free the tensor's own bytes that waits for their holders.
std::string waiting(const Tensor& tensor, const detail::GraphNames& names) {
  const detail::Storage& storage = *tensor.body().storage.get();
  if (!storage.restorer()) return "";
  std::vector<std::string> holders{"this tensor"};
  if (storage.users() > 1) holders.push_back(count_of(storage.users() - 1, "other", "others"));
  if (storage.savers() > 0) {
    holders.push_back(count_of(storage.savers(), "saved field", "saved fields"));
  }
  return fmt::format(" {} may free its bytes; so far {} {} them.",
                     names.rebuilder(storage.restorer().get()), listed(holders),
                     holders.size() == 1 ? "holds" : "hold");
}

std::string origin(const Tensor& tensor, const detail::GraphNames& names) {
  const Node& node = *tensor.body().node;
  if (node.is_leaf()) {
    const std::string name = names.leaf(node);
    return fmt::format(" It is a leaf{}: backward() adds its gradient up in grad(), {}.",
                       name.empty() ? "" : " called " + name,
                       tensor.grad().defined() ? "which holds one" : "which is still undefined");
  }
  const auto outputs = node.outputs().size();
  const std::string part =
      outputs == 1 ? "the result" : fmt::format("output {} of {}", tensor.body().slot, outputs);
  return fmt::format(" It is {} of {}, which read {}.{}", part, graph::label(node),
                     inputs_of(node, names), saved_by(node, names));
}

std::string saved_in_all(const std::vector<std::shared_ptr<Node>>& nodes) {
  const detail::SavedBytes bytes = detail::saved_bytes(nodes);
  if (bytes.there + bytes.freed == 0) return "";
  const std::string there = with_commas(bytes.there) + " bytes";
  if (bytes.freed == 0) return fmt::format(" For the backward pass they hold {}.", there);
  return fmt::format(
      " For the backward pass they hold {}, and {} more are freed, to be rebuilt in it.", there,
      with_commas(bytes.freed));
}

std::string dependence(const std::vector<std::shared_ptr<Node>>& nodes,
                       const detail::GraphNames& names) {
  int64_t ops = 0, elements = 0;
  std::vector<const Node*> leaves;
  for (const auto& node : nodes) {
    if (!node->is_leaf()) {
      ++ops;
      continue;
    }
    leaves.push_back(node.get());
    elements += node->outputs()[0].shape.numel();
  }
  if (ops == 0) return "";
  std::sort(leaves.begin(), leaves.end(),
            [](const Node* a, const Node* b) { return a->sequence() < b->sequence(); });
  std::vector<std::string> labels;
  labels.reserve(leaves.size());
  for (const Node* leaf : leaves) labels.push_back(names.label(*leaf));
  return fmt::format(
      " It needs a gradient: it depends through {} on {} with {}: {}.{}",
      count_of(ops, "op", "ops"), count_of(static_cast<int64_t>(leaves.size()), "leaf", "leaves"),
      count_of(elements, "element", "elements"), listed(std::move(labels)), saved_in_all(nodes));
}

}  // namespace

std::string explain(const Tensor& tensor, const graph::Names& names) {
  if (!tensor.defined()) return "An undefined tensor: default-constructed or moved from.";
  const auto nodes = graph::nodes(tensor);
  const detail::GraphNames labels(nodes, names);
  const std::string text = what_it_is(tensor) + waiting(tensor, labels);
  if (nodes.empty()) {
    return text +
           " It is outside the graph: made from numbers, detached, or computed while no input "
           "needed a gradient or grad mode was off.";
  }
  return text + origin(tensor, labels) + dependence(nodes, labels);
}

}  // namespace tenet
