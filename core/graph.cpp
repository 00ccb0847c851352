#include <tenet/core/graph.h>

#include <unordered_set>

namespace tenet::graph {

std::shared_ptr<Node> node(const Tensor& tensor) { return tensor.body().node; }

std::vector<std::pair<std::string, Tensor>> saved(const Node& node) {
  struct Read : SavedFields {
    explicit Read(const Node& owner) : owner(owner) {}
    void operator()(std::string_view name, Saved& field) override {
      if (field.defined()) list.emplace_back(name, field.get(owner).detach());
    }
    const Node& owner;
    std::vector<std::pair<std::string, Tensor>> list;
  } read(node);
  const_cast<Node&>(node).saved(read);
  return std::move(read.list);
}

std::vector<std::shared_ptr<Node>> nodes(const Tensor& tensor) {
  std::vector<std::shared_ptr<Node>> list;
  std::unordered_set<const Node*> seen;
  const auto add = [&](const std::shared_ptr<Node>& node) {
    if (node && seen.insert(node.get()).second) list.push_back(node);
  };
  add(node(tensor));
  for (size_t i = 0; i < list.size(); ++i) {
    const Node& next = *list[i];  // adding moves the pointers, not the nodes
    for (const Edge& edge : next.edges()) add(edge.node);
  }
  return list;
}

std::string label(const Node& node) { return fmt::format("{} #{}", node.name(), node.sequence()); }

}  // namespace tenet::graph
