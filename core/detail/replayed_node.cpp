#include <tenet/core/autograd.h>
#include <tenet/core/detail/core_kernels.h>
#include <tenet/core/detail/replayed_node.h>

#include <algorithm>

namespace tenet {
namespace {

thread_local const detail::ReplayedNode* replayed_node = nullptr;

}  // namespace

namespace detail {

const ReplayedNode* ReplayedNode::current() { return replayed_node; }

ReplayedNode::Frame::Frame(const ReplayedNode& node, ReplayRecord& record)
    : previous_(std::exchange(replayed_node, &node)),
      replay_(record, ReplayScope::Mode::replay),
      autocast_(record.autocast),
      span_(trace::Kind::replay, node.name(), &node) {}

ReplayedNode::Frame::~Frame() { replayed_node = previous_; }

Tensors ReplayedNode::run_forward(const std::string& name, ReplayRecord& record, const Tensors& x,
                                  const Function& f) {
  const TraceSpan span(trace::Kind::reversible, name);
  CaptureList captures;
  Tensors y;
  std::vector<Edge> edges;
  {
    Tensors inputs;
    for (const Tensor& input : x) {
      edges.push_back(edge_of(input));
      inputs.push_back(input.detach());
    }
    const ReplayScope scope(record, ReplayScope::Mode::record);
    const GradModeScope mode({.enabled = false, .captures = &captures});
    y = f(inputs);
  }
  // A function may hand an input or a captured tensor through: its output is then a new view.
  for (Tensor& output : y) {
    if (output.requires_grad()) captures.note(output);
    output = output.detach();
  }
  input_count = x.size();
  for (const CaptureList::Item& item : captures.items()) {
    edges.push_back(item.edge);
    captured.push_back(item.saved);
  }
  initialize(name, std::move(edges));
  return y;
}

bool ReplayedNode::attach(Tensors& y) {
  const bool wanted = std::any_of(edges().begin(), edges().end(),
                                  [](const Edge& edge) { return static_cast<bool>(edge); });
  const bool owned = std::any_of(
      y.begin(), y.end(), [](const Tensor& output) { return is_differentiable(output.dtype()); });
  if (!wanted || !owned) return false;
  for (Tensor& output : y) add_output(output);
  return true;
}

void ReplayedNode::check_captured() const {
  for (const Saved& tensor : captured) tensor.get(*this);
}

Tensors ReplayedNode::filled(Tensors dy) const {
  for (size_t i = 0; i < dy.size(); ++i) {
    if (dy[i].defined()) continue;
    const OutputInfo& info = outputs()[i];
    dy[i] = empty(info.shape, {info.grad_dtype, info.device});
    fill_kernel(info.device, view(dy[i]), 0);
  }
  return dy;
}

Tensors ReplayedNode::differentiate_replay(ReplayRecord& record, Tensors x, const Tensors& dy,
                                           const Function& f) {
  for (size_t i = 0; i < x.size(); ++i) {
    x[i] = x[i].detach();
    x[i].body().node = edges()[i].node;
    x[i].body().slot = edges()[i].slot;
  }
  Tensors y;
  {
    const Frame frame(*this, record);
    y = f(x);
  }
  std::vector<Edge> roots;
  Tensors droots;
  const Tensors full = filled(dy);
  for (size_t i = 0; i < y.size(); ++i) {
    if (!y[i].requires_grad()) continue;
    roots.push_back(edge_of(y[i]));
    droots.push_back(full[i]);
  }
  std::vector<Edge> targets;
  std::vector<size_t> places;
  for (size_t i = 0; i < edges().size(); ++i) {
    // The walk gives the whole gradient of a place; a tensor that came in twice gets it once.
    if (!edges()[i] || std::count(targets.begin(), targets.end(), edges()[i]) > 0) continue;
    targets.push_back(edges()[i]);
    places.push_back(i);
  }
  Tensors found = walk(roots, std::move(droots), targets,
                       {.retain_graph = true, .create_graph = true, .stop_at_targets = true});
  Tensors result(edges().size());
  for (size_t i = 0; i < places.size(); ++i) result[places[i]] = std::move(found[i]);
  return result;
}

ReplayRestart::ReplayRestart() {
  if (ReplayScope* scope = ReplayScope::current()) positions_ = scope->exchange_positions({});
}

ReplayRestart::~ReplayRestart() {
  if (ReplayScope* scope = ReplayScope::current()) scope->exchange_positions(std::move(positions_));
}

}  // namespace detail

Tensor replay_leaf(const Tensor& x) {
  Tensor leaf = x.detach();
  if (is_differentiable(leaf.dtype())) leaf.set_requires_grad(true);
  return leaf;
}

ReplayGrad replay_grad(Tensors ys, Tensors dys, const Tensors& xs) {
  check(ys.size() == dys.size(), "replay_grad: {} outputs with {} gradients", ys.size(),
        dys.size());
  std::vector<Edge> roots, targets;
  Tensors droots;
  for (size_t i = 0; i < ys.size(); ++i) {
    if (!dys[i].defined() || !ys[i].requires_grad()) continue;
    roots.push_back(edge_of(ys[i]));
    droots.push_back(std::move(dys[i]));
  }
  ys.clear();
  std::vector<size_t> places;
  for (size_t i = 0; i < xs.size(); ++i) {
    if (!xs[i].requires_grad()) continue;
    targets.push_back(edge_of(xs[i]));
    places.push_back(i);
  }
  const size_t own = targets.size();
  const detail::ReplayedNode* node = replayed_node;
  check(node != nullptr, "replay_grad: only inside inverse_and_grad()");
  for (size_t i = node->input_count; i < node->edges().size(); ++i) {
    targets.push_back(node->edges()[i]);
  }
  Tensors found = detail::walk(roots, std::move(droots), targets, {.stop_at_targets = true});
  ReplayGrad result{Tensors(xs.size()), Tensors(targets.size() - own)};
  for (size_t i = 0; i < own; ++i) result.dx[places[i]] = std::move(found[i]);
  for (size_t i = own; i < found.size(); ++i) result.dcaptured[i - own] = std::move(found[i]);
  return result;
}

void add_gradients(Tensors& dst, const Tensors& src) {
  if (dst.size() < src.size()) dst.resize(src.size());
  for (size_t i = 0; i < src.size(); ++i) {
    if (!src[i].defined()) continue;
    dst[i] = dst[i].defined() ? detail::accumulate(std::move(dst[i]), src[i]) : src[i];
  }
}

}  // namespace tenet
