#include <tenet/core/checkpoint.h>
#include <tenet/core/detail/replayed_node.h>

namespace tenet {
namespace {

struct CheckpointNode : detail::ReplayedNode {
  Function f;
  std::vector<Saved> x;
  detail::ReplayRecord forward_record;

  Tensors backward(const Tensors& dy) override {
    check_captured();
    Tensors inputs;
    for (const Saved& input : x) inputs.push_back(input.get(*this));
    if (grad_enabled()) return differentiate_replay(forward_record, std::move(inputs), dy, f);
    const Frame frame(*this, forward_record);
    for (Tensor& input : inputs) input = replay_leaf(input);
    Tensors y;
    {
      const EnableGrad scope;
      y = f(inputs);
    }
    ReplayGrad gradients = replay_grad(std::move(y), dy, inputs);
    for (Tensor& gradient : gradients.dcaptured) gradients.dx.push_back(std::move(gradient));
    return std::move(gradients.dx);
  }

  void saved(SavedFields& fields) override {
    fields("x", x);
    fields("captured", captured);
  }
};

}  // namespace

Tensors checkpoint(std::function<Tensors(const Tensors&)> f, const Tensors& xs) {
  check(f != nullptr, "checkpoint: the function is empty");
  if (!grad_enabled()) return f(xs);
  auto node = std::make_shared<CheckpointNode>();
  Tensors y = node->run_forward("checkpoint", node->forward_record, xs, f);
  if (!node->attach(y)) return y;
  for (const Tensor& x : xs) node->x.emplace_back(x);
  node->f = std::move(f);
  return y;
}

Tensor checkpoint(std::function<Tensor(const Tensor&)> f, const Tensor& x) {
  return checkpoint([f = std::move(f)](const Tensors& xs) { return Tensors{f(xs[0])}; },
                    Tensors{x})[0];
}

}  // namespace tenet
