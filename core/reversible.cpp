#include <tenet/core/autograd.h>
#include <tenet/core/detail/capture.h>
#include <tenet/core/detail/replayed_node.h>
#include <tenet/core/graph.h>
#include <tenet/core/reversible.h>

#include <algorithm>

namespace tenet {
namespace {

using detail::Restorer;

class ReversibleNode : public detail::ReplayedNode {
 public:
  std::shared_ptr<Restorer> restorer;

  const Restorer* rebuilder() const override { return restorer.get(); }

  Tensors backward(const Tensors& dy) override {
    check_captured();
    restorer->bring_back_outputs();
    Tensors y;
    for (const Saved& output : restorer->outputs()) y.push_back(output.get(*this).detach());
    Tensors dx = grad_enabled() ? backward_with_graph(y, dy)
                                : backward_once(y, filled(detail::take_gradients(dy)));
    restorer->release_outputs(false);
    return dx;
  }

  void saved(SavedFields& f) override {
    f("captured", captured);
    if (restorer) f("y", restorer->outputs());
  }

  void release_saved() override {
    if (restorer) restorer->withdraw();
    Node::release_saved();
  }

  void end_walk() noexcept override {
    if (!restorer) return;
    restorer->release_inputs();
    restorer->release_outputs(true);
  }

 private:
  Tensors backward_once(const Tensors& y, Tensors dy) {
    InverseAndGrad result;
    {
      const Frame frame(*this, restorer->record());
      ++detail::reversible_counters().inverse_calls;
      result = restorer->function().inverse_and_grad_in_place(y, std::move(dy));
    }
    check(result.x.size() == input_count && result.dx.size() == input_count &&
              result.dcaptured.size() <= captured.size(),
          "{}: inverse_and_grad gave {} inputs, {} gradients and {} captured gradients, "
          "{}, {} and {} are needed",
          name(), result.x.size(), result.dx.size(), result.dcaptured.size(), input_count,
          input_count, captured.size());
    restorer->put_back(std::move(result.x));
    result.dcaptured.resize(captured.size());
    std::move(result.dcaptured.begin(), result.dcaptured.end(), std::back_inserter(result.dx));
    return std::move(result.dx);
  }

  /// For second derivatives: x is rebuilt, joined to its place in the outer graph, and forward()
  /// runs as ordinary ops.
  Tensors backward_with_graph(const Tensors& y, const Tensors& dy) {
    Tensors x;
    {
      const NoGrad scope;
      const Frame frame(*this, restorer->record());
      ++detail::reversible_counters().inverse_calls;
      x = restorer->put_back(restorer->function().inverse(y));
    }
    return differentiate_replay(restorer->record(), std::move(x), dy, [&](const Tensors& inputs) {
      return restorer->function().forward(inputs);
    });
  }
};

/// A tensor like `x` on `storage`.
Tensor over_storage(detail::Storage& storage, const Tensor& x) {
  auto body = std::make_shared<detail::TensorBody>();
  body->storage = detail::StorageRef(&storage, detail::Storage::Holder::user);
  body->shape = x.shape();
  body->strides = contiguous_strides(x.shape());
  body->dtype = x.dtype();
  body->fraction_bits = x.fraction_bits();
  return Tensor(std::move(body));
}

/// 64 bits that change when any word changes.
uint64_t checksum_of(const Tensor& x) {
  uint64_t sum = 0xcbf29ce484222325u;
  const detail::Storage& storage = *x.body().storage.get();
  const std::byte* bytes = storage.data();
  for (int64_t i = 0; i < storage.bytes(); ++i) {
    sum = (sum ^ static_cast<uint64_t>(bytes[i])) * 0x100000001b3u;
  }
  return sum;
}

#ifdef NDEBUG
constexpr bool verify_always = false;
#else
constexpr bool verify_always = true;
#endif

}  // namespace

void done_with(const ReversibleFunction& f, const Tensor& y) {
  const auto* node = dynamic_cast<const ReversibleNode*>(detail::ReplayedNode::current());
  if (node && &node->restorer->function() == &f)
    node->restorer->release_output(y, node->last_walk());
}

InverseAndGrad ReversibleFunction::inverse_and_grad(const Tensors& y, const Tensors& dy) {
  InverseAndGrad result;
  {
    const NoGrad scope;
    result.x = inverse(y);
  }
  Tensors leaves;
  for (const Tensor& x : result.x) leaves.push_back(replay_leaf(x));
  Tensors replayed;
  {
    const detail::ReplayRestart restart;
    const EnableGrad scope;
    replayed = forward(leaves);
  }
  ReplayGrad gradients = replay_grad(std::move(replayed), dy, leaves);
  result.dx = std::move(gradients.dx);
  result.dcaptured = std::move(gradients.dcaptured);
  return result;
}

InverseAndGrad ReversibleFunction::inverse_and_grad_in_place(const Tensors& y, Tensors dy) {
  return inverse_and_grad(y, dy);
}

Tensors reversible(std::shared_ptr<ReversibleFunction> f, Tensors&& x) {
  Tensors y = detail::apply_reversible(std::move(f), x, std::vector<bool>(x.size(), true));
  x.clear();
  return y;
}

namespace detail {

ReversibleCounters& reversible_counters() {
  thread_local ReversibleCounters counters;
  return counters;
}

Tensors apply_reversible(std::shared_ptr<ReversibleFunction> f, Tensors x,
                         const std::vector<bool>& may_release) {
  check(f != nullptr, "reversible: the function is null");
  if (!grad_enabled()) return f->forward(x);
  auto restorer = std::make_shared<Restorer>(f, f->name());
  auto node = std::make_shared<ReversibleNode>();
  Tensors y = node->run_forward(f->name(), restorer->record(), x,
                                [&](const Tensors& inputs) { return f->forward(inputs); });
  if (!node->attach(y)) return y;
  const auto sharing = [](const Tensors& list, const Tensor& tensor) {
    const Storage* storage = tensor.body().storage.get();
    return std::count_if(list.begin(), list.end(), [&](const Tensor& other) {
      return other.body().storage.get() == storage;
    });
  };
  for (const Tensor& output : y) restorer->add_output(output, sharing(x, output) > 0);
  for (const Saved& captured : node->captured) restorer->watch(captured);
  for (size_t i = 0; i < x.size(); ++i) {
    const bool alone = sharing(x, x[i]) == 1 && sharing(y, x[i]) == 0;
    restorer->add_input(x[i], may_release[i] && alone);
  }
  node->restorer = std::move(restorer);
  return y;
}

Restorer::Restorer(std::shared_ptr<ReversibleFunction> f, std::string name)
    : f_(std::move(f)), name_(std::move(name)) {}

Restorer::~Restorer() = default;

void Restorer::add_output(const Tensor& y, bool aliases_input) {
  outputs_.emplace_back(y, Storage::Holder::reversible);
  aliases_input_.push_back(aliases_input);
}

void Restorer::watch(const Saved& captured) {
  const Storage& storage = *captured.storage();
  captured_.push_back({storage.version_counter(), storage.version(), captured.shape()});
}

void Restorer::add_input(const Tensor& x, bool may_release) {
  Storage& storage = *x.body().storage.get();
  const bool sound = may_release && spans_storage(x) && x.is_contiguous() && !storage.external() &&
                     !storage.restorer();
  const bool verify = sound && f_->exact() && x.dtype() == DType::fixed32 && x.device().is_cpu() &&
                      (verify_always || anomaly_enabled());
  inputs_.push_back(
      {sound ? &storage : nullptr, x.shape(), x.dtype(), verify ? checksum_of(x) : 0, verify});
  if (sound) storage.permit_release(shared_from_this());
}

void Restorer::forget(const Storage& storage) {
  for (Input& input : inputs_) {
    if (input.storage == &storage) input.storage = nullptr;
  }
}

Shape Restorer::shape_of(const Storage& storage) const {
  for (const Input& input : inputs_) {
    if (input.storage == &storage) return input.shape;
  }
  return {};
}

Storage* Restorer::first_released_output() const {
  for (const Saved& output : outputs_) {
    if (output.defined() && output.storage()->released()) return output.storage();
  }
  return nullptr;
}

void Restorer::bring_back_outputs() {
  // A chain of inverses with an explicit stack: the top is the one that can run next.
  std::vector<std::shared_ptr<Restorer>> chain{shared_from_this()};
  struct LetGo {
    ~LetGo() {
      for (size_t i = 1; i < chain.size(); ++i) chain[i]->release_outputs(true);
    }
    const std::vector<std::shared_ptr<Restorer>>& chain;
  } const after_exception{chain};
  while (true) {
    Restorer& top = *chain.back();
    if (Storage* missing = top.first_released_output()) {
      check(missing->restorer() != nullptr, "{}: an output's bytes are gone", top.name_);
      chain.push_back(missing->restorer());
      continue;
    }
    if (chain.size() == 1) return;
    top.restore();
    top.release_outputs(false);
    chain.pop_back();
  }
}

void Restorer::restore() {
  const NoGrad scope;
  const memory::Scope category(memory::Category::workspace);
  const ReplayScope replay(record_, ReplayScope::Mode::replay);
  const TraceSpan span(trace::Kind::replay, name_);
  const Autocast autocast(record_.autocast);
  Tensors y;
  for (const Saved& output : outputs_) {
    check(!output.changed(),
          "{}: an output of shape {} was changed in place; change a clone() instead", name_,
          output.shape());
    y.push_back(output.tensor());
  }
  for (const Watched& captured : captured_) {
    const uint32_t version = captured.counter->load(std::memory_order_relaxed);
    check(version == captured.version,
          "{}: a captured tensor of shape {} was changed in place after forward() read it "
          "(version {}, read at {}); run backward before changing it",
          name_, captured.shape, version, captured.version);
  }
  ++reversible_counters().inverse_calls;
  put_back(f_->inverse(y));
}

Tensors Restorer::put_back(Tensors x) {
  check(x.size() == inputs_.size(), "{}: inverse gave {} inputs, {} are needed", name_, x.size(),
        inputs_.size());
  for (size_t i = 0; i < x.size(); ++i) {
    const Input& input = inputs_[i];
    if (!input.storage || !input.storage->released()) continue;
    check(x[i].shape() == input.shape && x[i].dtype() == input.dtype,
          "{}: inverse gave {} {} for input {}, which was {} {}", name_, x[i].dtype(), x[i].shape(),
          i, input.dtype, input.shape);
    x[i] = x[i].contiguous();
    if (!spans_storage(x[i])) x[i] = x[i].clone();
    check(
        !input.verify || checksum_of(x[i]) == input.checksum,
        "{}: input {} of shape {} was not rebuilt to the bit; forward and inverse must compute the "
        "same values from the same tensors",
        name_, i, input.shape);
  }
  for (size_t i = 0; i < x.size(); ++i) {
    Storage* target = inputs_[i].storage;
    if (!target || !target->released()) continue;
    Storage& source = *x[i].body().storage.get();
    if (x[i].unique() && source.sole() && !source.external() && !source.restorer()) {
      target->restore_from(source);
    } else {
      target->restore_copy(source.data());
    }
    ++reversible_counters().rebuilds;
    if (tracer) trace_rebuild(name_, inputs_[i].shape, target->bytes());
    x[i] = over_storage(*target, x[i]);
  }
  return x;
}

void Restorer::withdraw() noexcept {
  for (Input& input : inputs_) {
    if (input.storage && !input.storage->released()) dispose(input.storage->forget_restorer());
  }
}

void Restorer::release_inputs() noexcept {
  for (Input& input : inputs_) {
    if (input.storage) input.storage->let_go();
  }
}

void Restorer::release_output(const Tensor& y, bool last) noexcept {
  for (size_t i = 0; i < outputs_.size(); ++i) {
    const bool same = outputs_[i].defined() && outputs_[i].storage() == y.body().storage.get();
    if (!same || aliases_input_[i]) continue;
    outputs_[i].storage()->let_go(1);
    if (last) outputs_[i].storage()->give_up();
  }
}

void Restorer::release_outputs(bool all) noexcept {
  for (size_t i = 0; i < outputs_.size(); ++i) {
    if (outputs_[i].defined() && (all || !aliases_input_[i])) outputs_[i].storage()->let_go();
  }
}

}  // namespace detail
}  // namespace tenet
