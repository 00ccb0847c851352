/// What dot() and explain() say about a node.
#pragma once

#include <tenet/core/graph.h>
#include <tenet/core/reversible.h>

#include <string>
#include <unordered_map>
#include <vector>

namespace tenet::detail {

/// A field that a node saved, and where its bytes are.
struct SavedFact {
  std::string name;
  Shape shape;
  DType dtype = DType::f32;
  int64_t bytes = 0;
  const Storage* storage = nullptr;
  const Restorer* rebuilder = nullptr;  // who may free the bytes, or has
  bool released = false;
  friend bool operator==(const SavedFact&, const SavedFact&) = default;
};
std::vector<SavedFact> saved_facts(const Node& node);

/// Bytes of all storages that the nodes saved, each counted once.
struct SavedBytes {
  int64_t there = 0, freed = 0;
};
SavedBytes saved_bytes(const std::vector<std::shared_ptr<Node>>& nodes);

/// Nodes by what rebuilds their inputs, leaves by name.
class GraphNames {
 public:
  GraphNames(const std::vector<std::shared_ptr<Node>>& nodes, const graph::Names& names);

  /// The reversible node that frees and rebuilds; null if it is not one of the nodes.
  const Node* node_of(const Restorer* restorer) const;
  /// "coupling #7", or the function's name where the node is not known.
  std::string rebuilder(const Restorer* restorer) const;
  /// A leaf's name, "" if it has none.
  std::string leaf(const Node& node) const;
  /// "add #12", "leaf weight" or "leaf #3".
  std::string label(const Node& node) const;

 private:
  std::unordered_map<const Restorer*, const Node*> nodes_;
  std::unordered_map<const Node*, std::string> names_;
};

}  // namespace tenet::detail
