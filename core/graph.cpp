#include <tenet/core/graph.h>

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

std::string label(const Node& node) { return fmt::format("{} #{}", node.name(), node.sequence()); }

}  // namespace tenet::graph
