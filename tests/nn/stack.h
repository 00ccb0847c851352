/// A stack of couplings that runs with released or with kept activations, for tests that compare
/// the two to the bit.
#pragma once

#include <tenet/core/autograd.h>
#include <tenet/core/memory.h>
#include <tenet/core/reversible.h>
#include <tenet/nn/attention.h>
#include <tenet/nn/coupling.h>
#include <tenet/nn/dropout.h>
#include <tenet/nn/linear.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/concatenate.h>
#include <tenet/ops/elementwise.h>
#include <tenet/ops/reduce.h>
#include <tenet/ops/stream.h>
#include <tenet/ops/views.h>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "module_check.h"

namespace tenet::test {

enum class Mode { released, kept };
enum class Part { mixed, smooth };  // with LSH attention, or only ops that have a second derivative

/// `depth` blocks of f = LSH attention (or a dense layer) and g = dropout(tanh(linear(x))) over two
/// streams (2, 8, 4).
class Stack {
 public:
  static constexpr int depth = 4;

  explicit Stack(Mode mode, Part part = Part::mixed, int blocks = depth) : mode_(mode) {
    set_seed(11);
    leaf_ = normal({2, 8, 4}, 1);
    leaf_.set_requires_grad(true);
    for (int i = 0; i < blocks; ++i) add_block(part, static_cast<uint64_t>(i));
    set_seed(12);
  }
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;

  bool releases() const { return mode_ == Mode::released; }
  const Tensor& leaf() const { return leaf_; }
  const std::shared_ptr<nn::AdditiveCoupling>& coupling(size_t i) const { return couplings_.at(i); }

  /// Two streams that start as `factor` times the leaf.
  Tensors input(uint64_t factor = 1) const {
    const Tensor x = leaf_ * static_cast<double>(factor);
    return {encode(x), encode(x)};
  }
  Tensors block(size_t i, Tensors x) const {
    return releases() ? reversible(couplings_.at(i), std::move(x)) : couplings_.at(i)->forward(x);
  }
  /// The blocks from `begin` to the last.
  Tensors rest(size_t begin, Tensors x) const {
    for (size_t i = begin; i < couplings_.size(); ++i) x = block(i, std::move(x));
    return x;
  }
  Tensors all(Tensors x) const { return rest(0, std::move(x)); }
  static Tensor loss(const Tensors& y) {
    return sum(decode(y[0]) * normal(y[0].shape(), 5)) +
           sum(decode(y[1]) * normal(y[1].shape(), 6));
  }

  Tensors parameters() const {
    Tensors all;
    for (const auto& module : modules_) {
      for (const Tensor& p : module->parameters()) all.push_back(p);
    }
    return all;
  }
  Tensors parameter_gradients() const {
    Tensors all;
    for (const Tensor& p : parameters())
      all.push_back(p.grad().defined() ? p.grad().clone() : Tensor());
    return all;
  }
  Tensors gradients() const {
    Tensors all = parameter_gradients();
    all.push_back(leaf_.grad().clone());
    return all;
  }
  void clear_gradients() const {
    for (const Tensor& p : parameters()) p.clear_grad();
    leaf_.clear_grad();
  }

  void evaluate() const {
    for (const auto& module : modules_) module->eval();
  }
  /// From now on every g adds `memory` once.
  void set_memory(const Tensor& memory) { *memory_ = memory; }
  /// Makes the k-th call of an f or g from now on throw.
  void fail_at_call(int k) { fail_at_ = calls_ + k; }
  int calls() const { return calls_; }

 private:
  friend class NoGradInput;

  struct Dense : nn::Module {
    nn::Linear linear{4, 4};
    nn::Dropout dropout{0.1};
    Tensor operator()(const Tensor& x) const { return dropout(tanh(linear(x))); }
    void fields(nn::Fields& f) override { f("linear", linear), f("dropout", dropout); }
  };

  void add_block(Part part, uint64_t layer) {
    AdditiveFunction f;
    if (part == Part::smooth) {
      f = hold(std::make_shared<Dense>());
    } else {
      f = hold(std::make_shared<nn::LshSelfAttention>(nn::LshSelfAttentionOptions{
          .size = {4, 2}, .window = 4, .num_buckets = {4}, .dropout = 0.1, .layer = layer}));
    }
    const AdditiveFunction dense = hold(std::make_shared<Dense>());
    const auto g = [dense, memory = memory_](const Tensor& x) {
      return memory->defined() ? dense(x) + *memory : dense(x);
    };
    couplings_.push_back(std::make_shared<nn::AdditiveCoupling>(counted(f), counted(g)));
  }

  using AdditiveFunction = nn::AdditiveCoupling::Function;

  template <class M>
  AdditiveFunction hold(std::shared_ptr<M> module) {
    modules_.push_back(module);
    return [module](const Tensor& x) { return (*module)(x); };
  }
  AdditiveFunction counted(AdditiveFunction function) {
    return [this, function](const Tensor& x) {
      if (++calls_ == fail_at_) throw std::runtime_error("the function failed");
      return function(x);
    };
  }

  Mode mode_;
  Tensor leaf_;
  std::shared_ptr<Tensor> memory_ = std::make_shared<Tensor>();
  std::vector<std::shared_ptr<nn::Module>> modules_;
  std::vector<std::shared_ptr<nn::AdditiveCoupling>> couplings_;
  int calls_ = 0, fail_at_ = -1;
};

/// The stack's input needs no gradient while it lives.
class NoGradInput {
 public:
  explicit NoGradInput(Stack& stack) : stack_(stack) { stack_.leaf_.set_requires_grad(false); }
  ~NoGradInput() { stack_.leaf_.set_requires_grad(true); }
  NoGradInput(const NoGradInput&) = delete;
  NoGradInput& operator=(const NoGradInput&) = delete;

 private:
  Stack& stack_;
};

/// What f throws; empty if nothing.
template <class F>
std::string error_text(F&& f) {
  try {
    f();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

/// A gradient that is missing where a function was not part of the graph is the same as zero.
inline bool same_gradient(const Tensor& a, const Tensor& b) {
  if (a.defined() && b.defined()) return same_bits(a, b);
  if (!a.defined() && !b.defined()) return true;
  const Numbers values = (a.defined() ? a : b).to_vector<double>();
  return std::all_of(values.begin(), values.end(), [](double x) { return x == 0; });
}

/// Runs the scenario with released and with kept activations; what it returns must agree to the
/// bit.
template <class Scenario>
void check_scenario(Scenario&& scenario) {
  Stack released(Mode::released), kept(Mode::kept);
  set_seed(12);
  detail::reversible_counters() = {};
  const Tensors a = scenario(released);
  CHECK(detail::reversible_counters().rebuilds > 0);
  set_seed(12);
  const Tensors b = scenario(kept);
  REQUIRE(a.size() == b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    CAPTURE(i);
    CHECK(same_gradient(a[i], b[i]));
  }
}

}  // namespace tenet::test
