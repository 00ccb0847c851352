#include <tenet/core/autograd.h>
#include <tenet/core/detail/capture.h>
#include <tenet/core/graph.h>
#include <tenet/core/detail/replayed_node.h>
#include <tenet/core/reversible.h>

#include <algorithm>

namespace tenet {
namespace {

using detail::Restorer;

class ReversibleNode : public detail::ReplayedNode {
 public:
  std::shared_ptr<Restorer> restorer;

  Tensors backward(const Tensors& dy) override {
    check_captured();
    restorer->bring_back_outputs();
    Tensors y;
    for (const Saved& output : restorer->outputs()) y.push_back(output.get(*this).detach());
    return grad_enabled() ? backward_with_graph(y, dy) : backward_once(y, dy);
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
    if (restorer) restorer->release_inputs();
  }

 private:
  Tensors backward_once(const Tensors& y, const Tensors& dy) {
    InverseAndGrad result;
    {
      const Frame frame(*this, restorer->record());
      result = restorer->function().inverse_and_grad(y, filled(dy));
    }
    check(result.x.size() == input_count && result.dx.size() == input_count &&
              result.dcaptured.size() <= captured.size(),
          "{}: inverse_and_grad gave {} inputs, {} gradients and {} captured gradients, {}, {} and {} "
          "are needed",
          name(), result.x.size(), result.dx.size(), result.dcaptured.size(), input_count,
          input_count, captured.size());
    restorer->put_back(std::move(result.x));
    result.dcaptured.resize(captured.size());
    std::move(result.dcaptured.begin(), result.dcaptured.end(), std::back_inserter(result.dx));
    return std::move(result.dx);
  }

  /// For second derivatives: x is rebuilt, joined to its place in the outer graph, and forward() runs as ordinary ops.
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

InverseAndGrad ReversibleFunction::inverse_and_grad(const Tensors& y, const Tensors& dy) {
  InverseAndGrad result;
  {
    const NoGrad scope;
    ++detail::reversible_counters().inverse_calls;
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
  ReplayGrad gradients = replay_grad(replayed, dy, leaves);
  result.dx = std::move(gradients.dx);
  result.dcaptured = std::move(gradients.dcaptured);
  return result;
}

Tensors reversible(std::shared_ptr<ReversibleFunction> f, Tensors&& x) {
  const std::vector<bool> may_release(x.size(), true);
  return detail::apply_reversible(std::move(f), std::move(x), may_release);
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
  for (const Tensor& output : y) {
    restorer->outputs().emplace_back(output, Storage::Holder::reversible);
  }
  for (size_t i = 0; i < x.size(); ++i) {
    Storage* storage = x[i].body().storage.get();
    const auto shares = [&](const Tensor& other) { return other.body().storage.get() == storage; };
    const bool alone = std::count_if(x.begin(), x.end(), shares) == 1 &&
                       std::none_of(y.begin(), y.end(), shares);
    restorer->add_input(x[i], may_release[i] && alone);
  }
  node->restorer = std::move(restorer);
  return y;
}

Restorer::Restorer(std::shared_ptr<ReversibleFunction> f, std::string name)
    : f_(std::move(f)), name_(std::move(name)) {}

Restorer::~Restorer() = default;

void Restorer::add_input(const Tensor& x, bool may_release) {
  Storage& storage = *x.body().storage.get();
  const bool sound = may_release && spans_storage(x) && x.is_contiguous() && !storage.external() &&
                     !storage.restorer();
  const bool verify = sound && f_->exact() && x.dtype() == DType::fixed32 && x.device().is_cpu() &&
                      (verify_always || anomaly_enabled());
  inputs_.push_back({sound ? &storage : nullptr, x.shape(), x.dtype(),
                     verify ? checksum_of(x) : 0, verify});
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
  while (true) {
    Restorer& top = *chain.back();
    if (Storage* missing = top.first_released_output()) {
      check(missing->restorer() != nullptr, "{}: an output's bytes are gone", top.name_);
      chain.push_back(missing->restorer());
      continue;
    }
    if (chain.size() == 1) return;
    top.restore();
    const std::shared_ptr<Restorer> done = std::move(chain.back());
    chain.pop_back();
    for (const Saved& output : done->outputs_) output.storage()->release_if_unused();
  }
}

void Restorer::restore() {
  const NoGrad scope;
  const memory::Scope category(memory::Category::workspace);
  const ReplayScope replay(record_, ReplayScope::Mode::replay);
  const Autocast autocast(record_.autocast);
  Tensors y;
  for (const Saved& output : outputs_) {
    check(!output.changed(), "{}: an output of shape {} was changed in place; change a clone() instead",
          name_, output.shape());
    y.push_back(output.tensor());
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
    check(!input.verify || checksum_of(x[i]) == input.checksum,
          "{}: input {} of shape {} was not rebuilt to the bit; forward and inverse must compute the "
          "same values from the same tensors",
          name_, i, input.shape);
  }
  for (size_t i = 0; i < x.size(); ++i) {
    Storage* target = inputs_[i].storage;
    if (!target || !target->released()) continue;
    Storage& source = *x[i].body().storage.get();
    const bool sole = x[i].unique() && source.users() == 1 && source.savers() == 0 &&
                      !source.external() && !source.restorer();
    if (sole) {
      target->restore_from(source);
    } else {
      target->restore_copy(source.data());
    }
    ++reversible_counters().rebuilds;
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
    if (input.storage) input.storage->release_if_unused();
  }
}

}  // namespace detail
}  // namespace tenet
