#include <tenet/core/detail/graph_facts.h>
#include <tenet/core/detail/replayed_node.h>
#include <tenet/core/detail/text.h>
#include <tenet/core/graph.h>

#include <algorithm>
#include <set>

namespace tenet::graph {
namespace {

using detail::count_of;
using detail::escaped;
using detail::SavedFact;

class Picture {
 public:
  Picture(const Tensor& y, const DotOptions& options)
      : all_(nodes(y)), names_(all_, options.names), root_(all_.front().get()) {
    for (const auto& node : all_) {
      if (node->is_leaf() && !options.leaves && node.get() != root_) {
        folded_.insert(node.get());
      } else if (static_cast<int64_t>(drawn_.size()) < options.max_nodes) {
        drawn_.push_back(node.get());
      }
    }
    std::sort(drawn_.begin(), drawn_.end(),
              [](const Node* a, const Node* b) { return a->sequence() < b->sequence(); });
    shown_.insert(drawn_.begin(), drawn_.end());
  }

  std::string text() {
    out_ =
        "digraph tenet {\n"
        "  node [shape=box, style=\"rounded,filled\", fillcolor=\"#f4f5f6\", color=\"#9aa2ab\", "
        "fontname=\"Helvetica\", fontsize=12];\n"
        "  edge [color=\"#616975\", fontname=\"Helvetica\", fontsize=10];\n";
    for (const Node* node : drawn_) draw(*node);
    for (const Node* node : drawn_) draw_edges(*node);
    const auto rest = static_cast<int64_t>(all_.size() - drawn_.size() - folded_.size());
    if (rest > 0) {
      out_ += fmt::format("  rest [label=\"{} not drawn\", shape=plaintext, style=\"\"];\n",
                          count_of(rest, "node", "nodes"));
    }
    out_ += fmt::format("  label=<{}>;\n  fontname=\"Helvetica\";\n  fontsize=11;\n}}\n", totals());
    return std::move(out_);
  }

 private:
  static std::string id(const Node& node) { return fmt::format("n{}", node.sequence()); }

  void draw(const Node& node) {
    const std::string name = names_.leaf(node);
    std::string label = fmt::format("<b>{}</b>", escaped(name.empty() ? node.name() : name));
    if (name.empty()) label += fmt::format(" #{}", node.sequence());
    for (const OutputInfo& output : node.outputs()) {
      label += fmt::format("<br/>{} {}", output.dtype, output.shape);
    }
    label += leaves_line(node) + saved_lines(detail::saved_facts(node));
    if (node.released()) label += small("what it saved was freed by backward", "#616975");
    std::string style;
    if (node.is_leaf()) {
      style = ", fillcolor=\"#dcebfa\"";
    } else if (node.rebuilder()) {
      style = ", fillcolor=\"#d9f2dd\"";
    }
    if (&node == root_) style += ", penwidth=2, color=\"#22262b\"";
    out_ += fmt::format("  {} [label=<{}>{}];\n", id(node), label, style);
  }

  static std::string small(const std::string& text, const char* colour) {
    return fmt::format("<br/><font point-size=\"10\" color=\"{}\">{}</font>", colour,
                       escaped(text));
  }

  /// The leaves that are not drawn.
  std::string leaves_line(const Node& node) const {
    std::set<const Node*> leaves;
    int64_t elements = 0;
    for (const Edge& edge : node.edges()) {
      if (!edge || !folded_.contains(edge.node.get())) continue;
      if (leaves.insert(edge.node.get()).second) elements += edge.node->outputs()[0].shape.numel();
    }
    if (leaves.empty()) return "";
    const std::string name = leaves.size() == 1 ? names_.leaf(**leaves.begin()) : "";
    const std::string what =
        leaves.size() > 1 ? detail::with_commas(static_cast<int64_t>(leaves.size())) + " leaves"
                          : "leaf" + (name.empty() ? name : " " + name);
    return small(fmt::format("reads {}, {}", what, count_of(elements, "element", "elements")),
                 "#2a5d91");
  }

  /// A line for each field, one for equal ones that follow each other, and no more than eight.
  std::string saved_lines(const std::vector<SavedFact>& facts) const {
    constexpr int most = 8;
    std::string text;
    int lines = 0;
    for (size_t i = 0; i < facts.size();) {
      if (++lines == most + 1) {
        const auto rest = static_cast<int64_t>(facts.size() - i);
        return text + small(fmt::format("and {} more", detail::with_commas(rest)), "#616975");
      }
      size_t stop = i + 1;
      while (stop < facts.size() && looks_like(facts[stop], facts[i])) ++stop;
      text += saved_line(facts[i], stop - i);
      i = stop;
    }
    return text;
  }
  static bool looks_like(SavedFact a, const SavedFact& b) {
    a.storage = b.storage;
    return a == b;
  }

  std::string saved_line(const SavedFact& fact, size_t count) const {
    const std::string what = fmt::format(
        "saves {}{}: {} {}, {} B{}", count > 1 ? fmt::format("{} x ", count) : "", fact.name,
        fact.dtype, fact.shape, detail::with_commas(fact.bytes), count > 1 ? " each" : "");
    if (fact.released) {
      return small(fmt::format("{}, freed by {}", what, names_.rebuilder(fact.rebuilder)),
                   "#1d7a33");
    }
    if (fact.rebuilder) {
      return small(fmt::format("{}, {} may free it", what, names_.rebuilder(fact.rebuilder)),
                   "#b3541e");
    }
    return small(what, "#616975");
  }

  void draw_edges(const Node& node) {
    const auto* replayed = dynamic_cast<const detail::ReplayedNode*>(&node);
    for (size_t i = 0; i < node.edges().size(); ++i) {
      const Edge& edge = node.edges()[i];
      if (!edge || folded_.contains(edge.node.get())) continue;
      std::string style;
      if (edge.node->outputs().size() > 1) {
        style = fmt::format("label=\"output {}\"", edge.slot);
      }
      if (replayed && i >= replayed->input_count) {
        style += fmt::format("{}style=dashed", style.empty() ? "" : ", ");
      }
      const std::string from = shown_.contains(edge.node.get()) ? id(*edge.node) : "rest";
      out_ +=
          fmt::format("  {} -> {}{};\n", from, id(node), style.empty() ? "" : " [" + style + "]");
    }
    std::set<uint64_t> freed_by;
    for (const SavedFact& fact : detail::saved_facts(node)) {
      const Node* by = fact.released ? names_.node_of(fact.rebuilder) : nullptr;
      if (by && shown_.contains(by) && freed_by.insert(by->sequence()).second) {
        out_ += fmt::format(
            "  {} -> {} [style=dotted, color=\"#1d7a33\", fontcolor=\"#1d7a33\", "
            "label=\"freed, will rebuild\", constraint=false];\n",
            id(*by), id(node));
      }
    }
  }

  std::string totals() const {
    int64_t leaves = 0;
    for (const auto& node : all_) leaves += node->is_leaf();
    const auto ops = static_cast<int64_t>(all_.size()) - leaves;
    const detail::SavedBytes bytes = detail::saved_bytes(all_);
    return fmt::format("{}, {}; saved and there: {} B; freed, to be rebuilt: {} B",
                       count_of(ops, "op", "ops"), count_of(leaves, "leaf", "leaves"),
                       detail::with_commas(bytes.there), detail::with_commas(bytes.freed));
  }

  std::vector<std::shared_ptr<Node>> all_;
  detail::GraphNames names_;
  const Node* root_;
  std::vector<const Node*> drawn_;
  std::set<const Node*> shown_, folded_;  // folded: leaves that are only counted
  std::string out_;
};

}  // namespace

std::string dot(const Tensor& y, const DotOptions& options) {
  check(y.requires_grad(), "dot: the tensor of shape {} has no graph; no input needs a gradient",
        y.shape());
  check(options.max_nodes >= 1, "dot: max_nodes is {}; at least 1 is needed", options.max_nodes);
  return Picture(y, options).text();
}

}  // namespace tenet::graph
