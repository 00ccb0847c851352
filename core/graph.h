/// Looking at the graph.
#pragma once

#include <tenet/core/node.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

/// The graph to look at: nodes, what they saved, pictures.
namespace tenet::graph {

/// The node that made `tensor`, or its leaf node; null outside the graph.
std::shared_ptr<Node> node(const Tensor& tensor);

/// What `node` saved, by name. Error if the bytes of one are released: `reversible: saved y of
/// shape (2, 3) was released by additive_coupling #7 and is rebuilt only inside backward; keep a
/// copy of the tensor to read it later`.
std::vector<std::pair<std::string, Tensor>> saved(const Node& node);

/// "softmax #12".
std::string label(const Node& node);

/// Every node that `tensor` depends on, each once, the nearest first. Empty outside the graph.
std::vector<std::shared_ptr<Node>> nodes(const Tensor& tensor);

/// Names for leaves: what nn::Module::named_parameters() gives, say.
using Names = std::vector<std::pair<std::string, Tensor>>;

/// What dot() draws.
struct DotOptions {
  Names names = {};         // of the leaves
  int64_t max_nodes = 200;  // the nearest are drawn; the rest becomes one node that counts them
  bool leaves = true;       // false: a line in each op that reads some, for large models
};

/// The graph below y in Graphviz's language: each op with the shapes of its results and what it
/// saved, with bytes; leaves by name; reversible nodes and what they freed and will rebuild. Data
/// flows along the arrows; dashed ones lead to what a reversible function captured, dotted ones
/// from a node to the owner of what it freed.
///
///     std::ofstream("graph.dot") << graph::dot(loss, {.names = model.named_parameters()});
///
/// and then `dot -Tsvg graph.dot -o graph.svg`. Errors: y has no graph; max_nodes < 1.
std::string dot(const Tensor& y, const DotOptions& options = {});

}  // namespace tenet::graph
