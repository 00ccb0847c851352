#include <tenet/core/detail/graph_facts.h>

#include <unordered_set>

namespace tenet::detail {

std::vector<SavedFact> saved_facts(const Node& node) {
  struct Read : SavedFields {
    void operator()(std::string_view name, Saved& field) override {
      if (!field.defined()) return;
      const Storage& storage = *field.storage();
      facts.push_back({.name = std::string(name),
                       .shape = field.shape(),
                       .dtype = field.dtype(),
                       .bytes = field.bytes(),
                       .storage = &storage,
                       .rebuilder = storage.restorer().get(),
                       .released = storage.released()});
    }
    std::vector<SavedFact> facts;
  } read;
  const_cast<Node&>(node).saved(read);
  return std::move(read.facts);
}

SavedBytes saved_bytes(const std::vector<std::shared_ptr<Node>>& nodes) {
  SavedBytes bytes;
  std::unordered_set<const Storage*> counted;
  for (const auto& node : nodes) {
    for (const SavedFact& fact : saved_facts(*node)) {
      if (!counted.insert(fact.storage).second) continue;
      (fact.released ? bytes.freed : bytes.there) += fact.storage->bytes();
    }
  }
  return bytes;
}

GraphNames::GraphNames(const std::vector<std::shared_ptr<Node>>& nodes, const graph::Names& names) {
  for (const auto& node : nodes) {
    if (node->rebuilder()) nodes_.emplace(node->rebuilder(), node.get());
  }
  for (const auto& [name, tensor] : names) {
    if (tensor.defined() && tensor.requires_grad()) names_.emplace(graph::node(tensor).get(), name);
  }
}

const Node* GraphNames::node_of(const Restorer* restorer) const {
  const auto found = nodes_.find(restorer);
  return found == nodes_.end() ? nullptr : found->second;
}

std::string GraphNames::rebuilder(const Restorer* restorer) const {
  if (!restorer) return "its node";
  const Node* node = node_of(restorer);
  return node ? graph::label(*node) : restorer->name();
}

std::string GraphNames::leaf(const Node& node) const {
  const auto found = names_.find(&node);
  return found == names_.end() || !node.is_leaf() ? "" : found->second;
}

std::string GraphNames::label(const Node& node) const {
  const std::string name = leaf(node);
  return name.empty() ? graph::label(node) : "leaf " + name;
}

}  // namespace tenet::detail
