/// Looking at the graph.
#pragma once

#include <tenet/core/node.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace tenet::graph {

/// The node that made `tensor`, or its leaf node; null outside the graph.
std::shared_ptr<Node> node(const Tensor& tensor);

/// What `node` saved, by name. Error if the bytes of one are released: `reversible: saved y of
/// shape (2, 3) was released by additive_coupling #7 and is rebuilt only inside backward; keep a
/// copy of the tensor to read it later`.
std::vector<std::pair<std::string, Tensor>> saved(const Node& node);

/// "softmax #12".
std::string label(const Node& node);

}  // namespace tenet::graph
