#include <tenet/core/autograd.h>
#include <tenet/core/detail/capture.h>
#include <tenet/core/detail/core_kernels.h>
#include <tenet/core/graph.h>

#include <limits>
#include <queue>
#include <unordered_map>

namespace tenet {
namespace {

using detail::WalkOptions;

/// One node's part in a walk.
struct Visit {
  Node* node;
  int waiting = 0;      // consumers in this walk that have not run yet
  bool needed = false;  // a target, or a leaf to accumulate in, lies at or below it
  bool passes = false;  // one lies below it
  bool target = false;
  bool expanded = false;
  Tensors grads;  // one per output
};

class Walk {
 public:
  Walk(const std::vector<Edge>& targets, const WalkOptions& options)
      : targets_(targets), options_(options), results_(targets.size()) {}
  ~Walk() {
    for (Visit& visit : visits_) {
      if (visit.expanded && !stops(visit)) visit.node->end_walk();
    }
  }
  Walk(const Walk&) = delete;
  Walk& operator=(const Walk&) = delete;

  Tensors run(const std::vector<Edge>& roots, Tensors droots);

 private:
  void discover(const std::vector<Edge>& roots);
  size_t index_of(Node* node);
  void make_ready(size_t index);
  bool stops(const Visit& visit) const { return visit.target && options_.stop_at_targets; }
  void add_gradient(const Edge& edge, Tensor gradient);
  void finish(size_t index);
  Tensors call(Visit& visit);
  void apply_hooks(Visit& visit);
  void capture(const Visit& visit);
  void accumulate_in_leaf(Leaf& leaf, Tensor gradient);
  void send(Visit& visit, Tensors gradients);
  Tensor checked(const Node& node, size_t input, Tensor gradient) const;

  const std::vector<Edge>& targets_;
  const WalkOptions options_;
  Tensors results_;
  std::vector<Visit> visits_;
  std::unordered_map<Node*, size_t> index_;
  std::priority_queue<std::pair<uint64_t, size_t>> ready_;
};

size_t Walk::index_of(Node* node) {
  const auto [place, fresh] = index_.try_emplace(node, visits_.size());
  if (fresh) visits_.push_back({.node = node, .grads = Tensors(node->outputs().size())});
  return place->second;
}

/// Finds every node below the roots and, from the bottom up, which of them lead to something
/// wanted.
void Walk::discover(const std::vector<Edge>& roots) {
  for (const Edge& target : targets_) visits_[index_of(target.node.get())].target = true;
  std::vector<std::pair<size_t, size_t>> stack;  // visit, next edge
  const auto enter = [&](Node* node) {
    const size_t index = index_of(node);
    Visit& visit = visits_[index];
    if (visit.expanded) return;
    visit.expanded = true;
    visit.needed = visit.target || (options_.accumulate_in_leaves && node->is_leaf());
    stack.emplace_back(index, 0);
  };
  for (const Edge& root : roots) {
    enter(root.node.get());
    while (!stack.empty()) {
      auto& [index, next] = stack.back();
      const std::vector<Edge>& edges = visits_[index].node->edges();
      if (next == edges.size() || stops(visits_[index])) {
        const bool needed = visits_[index].needed;
        stack.pop_back();
        if (!stack.empty() && needed) {
          Visit& parent = visits_[stack.back().first];
          parent.needed = parent.passes = true;
        }
        continue;
      }
      Node* child = edges[next++].node.get();
      if (!child) continue;
      const size_t parent = index;
      const size_t child_index = index_of(child);
      if (visits_[child_index].expanded) {
        // A finished child; an unfinished one would be a cycle.
        if (visits_[child_index].needed) visits_[parent].needed = visits_[parent].passes = true;
      } else {
        enter(child);
      }
    }
  }
  for (size_t i = 0; i < visits_.size(); ++i) {
    if (!visits_[i].expanded || !visits_[i].passes || stops(visits_[i])) continue;
    for (const Edge& edge : visits_[i].node->edges()) {
      if (edge) ++visits_[index_.at(edge.node.get())].waiting;
    }
  }
}

Tensors Walk::run(const std::vector<Edge>& roots, Tensors droots) {
  discover(roots);
  for (size_t i = 0; i < roots.size(); ++i) add_gradient(roots[i], std::move(droots[i]));
  droots.clear();
  for (size_t i = 0; i < visits_.size(); ++i) {
    if (visits_[i].expanded && visits_[i].waiting == 0) {
      make_ready(i);
    }
  }
  while (!ready_.empty()) {
    const size_t index = ready_.top().second;
    ready_.pop();
    finish(index);
  }
  return std::move(results_);
}

/// The latest made comes first, which keeps few gradients waiting; leaves at once, so that their
/// gradients count as such.
void Walk::make_ready(size_t index) {
  const Node& node = *visits_[index].node;
  ready_.emplace(node.is_leaf() ? std::numeric_limits<uint64_t>::max() : node.sequence(), index);
}

void Walk::add_gradient(const Edge& edge, Tensor gradient) {
  Visit& visit = visits_[index_.at(edge.node.get())];
  Tensor& sum = visit.grads[static_cast<size_t>(edge.slot)];
  sum = sum.defined() ? detail::accumulate(std::move(sum), gradient) : std::move(gradient);
}

void Walk::finish(size_t index) {
  Visit& visit = visits_[index];
  if (!visit.needed) {
    visit.grads.clear();
    return;
  }
  // A node at which the walk stops belongs to another graph, whose own walk runs its hooks.
  if (!stops(visit)) apply_hooks(visit);
  if (visit.target) capture(visit);
  if (stops(visit)) return;
  Node& node = *visit.node;
  bool any = false;
  for (const Tensor& gradient : visit.grads) any = any || gradient.defined();
  if (node.is_leaf()) {
    if (any && options_.accumulate_in_leaves) {
      accumulate_in_leaf(static_cast<Leaf&>(node), std::move(visit.grads[0]));
    }
    return;
  }
  if (!visit.passes) {
    visit.grads.clear();
    return;
  }
  Tensors gradients;
  if (any) gradients = call(visit);
  visit.grads.clear();
  if (any && !options_.retain_graph) node.release_saved();
  send(visit, std::move(gradients));
}

void Walk::apply_hooks(Visit& visit) {
  std::vector<OutputInfo>& outputs = visit.node->outputs();
  for (size_t i = 0; i < outputs.size() && i < visit.grads.size(); ++i) {
    Tensor& gradient = visit.grads[i];
    if (!gradient.defined()) continue;
    for (const auto& hook : outputs[i].hooks) {
      Tensor replaced = hook(gradient);
      if (!replaced.defined()) continue;
      const OutputInfo& info = outputs[i];
      check(replaced.shape() == info.shape && replaced.dtype() == info.grad_dtype &&
                replaced.device() == info.device,
            "{}: a hook returned a gradient {} {} on {}; it must be {} {} on {}",
            visit.node->name(), replaced.dtype(), replaced.shape(), replaced.device(),
            info.grad_dtype, info.shape, info.device);
      gradient = std::move(replaced);
    }
    if (outputs[i].retained && options_.accumulate_in_leaves) {
      Tensor& kept = *outputs[i].retained;
      kept = kept.defined() ? detail::accumulate(std::move(kept), gradient) : gradient;
    }
  }
}

void Walk::capture(const Visit& visit) {
  for (size_t i = 0; i < targets_.size(); ++i) {
    if (targets_[i].node.get() == visit.node) {
      results_[i] = visit.grads[static_cast<size_t>(targets_[i].slot)];
    }
  }
}

void Walk::accumulate_in_leaf(Leaf& leaf, Tensor gradient) {
  if (leaf.grad.defined()) {
    leaf.grad = detail::accumulate(std::move(leaf.grad), gradient);
  } else {
    const bool own =
        gradient.unique() && gradient.body().storage->sole() && detail::spans_storage(gradient);
    leaf.grad = own ? std::move(gradient) : gradient.clone();
  }
  leaf.grad.body().storage->set_category(memory::Category::gradient);
}

Tensors Walk::call(Visit& visit) {
  Node& node = *visit.node;
  check(!node.released(),
        "backward: what {} saved was freed by an earlier backward; pass .retain_graph = true to it",
        node.name());
  check(!options_.create_graph || !node.once_differentiable(),
        "{}: has no second derivative; use it without create_graph", node.name());
  const detail::TraceSpan span(trace::Kind::backward, node.name(), &node);
  const detail::GivenGradients given(visit.grads);
  node.set_last_walk(!options_.retain_graph);
  Tensors gradients = node.backward(visit.grads);
  check(gradients.size() == node.edges().size(), "{}: backward returned {} gradients for {} inputs",
        node.name(), gradients.size(), node.edges().size());
  for (size_t i = 0; i < gradients.size(); ++i) {
    if (!node.edges()[i] || !gradients[i].defined()) continue;
    gradients[i] = checked(node, i, std::move(gradients[i]));
  }
  return gradients;
}

Tensor Walk::checked(const Node& node, size_t input, Tensor gradient) const {
  const Edge& edge = node.edges()[input];
  const OutputInfo& info = edge.node->outputs()[static_cast<size_t>(edge.slot)];
  if (gradient.shape() != info.shape) {
    check(broadcasts_to(info.shape, gradient.shape()),
          "{}: backward returned a gradient of shape {} for input {} of shape {}", node.name(),
          gradient.shape(), input, info.shape);
    gradient = detail::sum_to(gradient, info.shape);
  }
  check(gradient.dtype() == info.grad_dtype,
        "{}: backward returned a gradient of type {} for input {}, which needs {}", node.name(),
        gradient.dtype(), input, info.grad_dtype);
  check(gradient.device() == info.device,
        "{}: backward returned a gradient on {} for input {} on {}", node.name(), gradient.device(),
        input, info.device);
  if (anomaly_enabled()) {
    const int64_t bad = detail::first_non_finite(gradient);
    check(
        bad < 0,
        "{}: backward gave a non-finite gradient at element {} of {} for input {}; its inputs: {}",
        graph::label(node), bad, gradient.shape(), input, node.origin());
  }
  return gradient;
}

void Walk::send(Visit& visit, Tensors gradients) {
  const std::vector<Edge>& edges = visit.node->edges();
  for (size_t i = 0; i < edges.size(); ++i) {
    if (!edges[i]) continue;
    if (i < gradients.size() && gradients[i].defined()) {
      add_gradient(edges[i], std::move(gradients[i]));
    }
    const size_t next = index_.at(edges[i].node.get());
    if (--visits_[next].waiting == 0) make_ready(next);
  }
}

Tensor checked_dy(const Tensor& y, Tensor dy, const char* op) {
  check(y.requires_grad(), "{}: the tensor of shape {} has no graph; no input needs a gradient", op,
        y.shape());
  if (!dy.defined()) {
    check(y.numel() == 1, "{}: y has shape {}; pass .dy, or reduce y to one element", op,
          y.shape());
    dy = empty(y.shape(), {grad_dtype(y.dtype()), y.device()});
    detail::fill_kernel(dy.device(), view(dy), 1);
  }
  check(dy.shape() == y.shape() && dy.dtype() == grad_dtype(y.dtype()) && dy.device() == y.device(),
        "{}: dy is {} {} on {}, y needs {} {} on {}", op, dy.dtype(), dy.shape(), dy.device(),
        grad_dtype(y.dtype()), y.shape(), y.device());
  return dy;
}

}  // namespace

namespace detail {

Tensors walk(const std::vector<Edge>& roots, Tensors droots, const std::vector<Edge>& targets,
             const WalkOptions& options) {
  const GradModeScope mode({.enabled = options.create_graph});
  const Autocast off(std::nullopt);  // each node knows the types of its own
  const memory::Scope category(memory::Category::workspace);
  const TraceSpan span(trace::Kind::walk, options.accumulate_in_leaves ? "backward" : "grad");
  return Walk(targets, options).run(roots, std::move(droots));
}

}  // namespace detail

void backward(const Tensor& y, BackwardOptions options) {
  Tensor dy = checked_dy(y, std::move(options.dy), "backward");
  detail::walk({edge_of(y)}, {std::move(dy)}, {},
               {.retain_graph = options.retain_graph || options.create_graph,
                .create_graph = options.create_graph,
                .accumulate_in_leaves = true});
}

Tensors grad(Tensors ys, Tensors xs, GradOptions options) {
  check(options.dy.empty() || options.dy.size() == ys.size(), "grad: {} dy for {} ys",
        options.dy.size(), ys.size());
  options.dy.resize(ys.size());
  std::vector<Edge> roots, targets;
  for (size_t i = 0; i < ys.size(); ++i) {
    options.dy[i] = checked_dy(ys[i], std::move(options.dy[i]), "grad");
    roots.push_back(edge_of(ys[i]));
  }
  for (size_t i = 0; i < xs.size(); ++i) {
    check(xs[i].requires_grad(), "grad: x {} of shape {} does not need a gradient", i,
          xs[i].shape());
    targets.push_back(edge_of(xs[i]));
  }
  Tensors result = detail::walk(roots, std::move(options.dy), targets,
                                {.retain_graph = options.retain_graph || options.create_graph,
                                 .create_graph = options.create_graph});
  for (size_t i = 0; i < xs.size(); ++i) {
    check(options.allow_unused || result[i].defined(),
          "grad: no y depends on x {} of shape {}; pass .allow_unused = true to get an undefined "
          "tensor",
          i, xs[i].shape());
  }
  return result;
}

}  // namespace tenet
