/// Reversible nodes: functions that free their inputs in the forward pass and rebuild them in the
/// backward pass.
///
/// Note [Release]: moving a tensor into reversible() is the permission to free its bytes. They are
/// freed when forward() has succeeded and nobody but reversible nodes holds the storage: a view or
/// copy that somebody keeps, or an ordinary node that saved it, keeps the bytes. In a chain, node
/// k's outputs are node k+1's inputs: k+1 frees them forwards and rebuilds them into the same
/// storage backwards, so depth costs no activation memory.
///
/// Note [Restorer]: a released storage owns a Restorer (function, replay record, saved outputs; no
/// edges, so no cycle) that may outlive the node. A node's own backward rebuilds its inputs; where
/// a needed storage's node is not part of the walk, the chain of inverses runs on demand. Bytes are
/// computed first and put in place last, so that after an exception every storage is resident and
/// right, or still released.
#pragma once

#include <tenet/core/node.h>
#include <tenet/core/replay.h>

#include <initializer_list>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace tenet {

/// What a reversible function's backward gives: the rebuilt inputs and the gradients. An undefined
/// gradient means zero.
struct InverseAndGrad {
  Tensors x;          // the inputs
  Tensors dx;         // their gradients
  Tensors dcaptured;  // in the order in which forward() first read them, as ReplayGrad gives it
};

/// A function with an inverse. Whatever else forward() reads and needs a gradient (parameters, an
/// encoder's memory) is found by watching it run. The object may be used by many nodes and holds no
/// state between calls.
struct ReversibleFunction {
  virtual ~ReversibleFunction() = default;

  /// y = f(x).
  virtual Tensors forward(const Tensors& x) = 0;
  /// x = f^-1(y), the shapes and types of forward()'s inputs.
  virtual Tensors inverse(const Tensors& y) = 0;
  /// The default rebuilds x by inverse(), runs forward() on it with the graph on, and
  /// differentiates. Override it where the two share work.
  virtual InverseAndGrad inverse_and_grad(const Tensors& y, const Tensors& dy);
  /// The same, and what the backward pass calls. The gradients are the function's own: it may let
  /// one go, whose bytes are then freed before it returns, and write over one that nobody else
  /// holds. The default calls inverse_and_grad(). Override it too where that saves memory.
  virtual InverseAndGrad inverse_and_grad_in_place(const Tensors& y, Tensors dy);
  /// Whether inverse(forward(x)) is x to the bit for fixed32 inputs. In debug builds and in anomaly
  /// mode that is verified.
  virtual bool exact() const { return false; }
  /// For errors, reports and pictures.
  virtual std::string name() const { return "reversible"; }
};

/// A Tensor, given away or kept.
template <class T>
concept TensorArgument = std::is_same_v<std::remove_cvref_t<T>, Tensor>;

/// y = f(x), one node in the graph. An rvalue argument may be released; an lvalue stays. If f
/// throws, all are as before.
///
///     Tensors y = reversible(coupling, std::move(x1), std::move(x2));
template <TensorArgument... T>
Tensors reversible(std::shared_ptr<ReversibleFunction> f, T&&... x);
/// The same for a list; every element may be released.
Tensors reversible(std::shared_ptr<ReversibleFunction> f, Tensors&& x);
/// A braced list would keep hidden copies alive until the end of the call.
Tensors reversible(std::shared_ptr<ReversibleFunction> f, std::initializer_list<Tensor>) = delete;

/// Gradients of a replayed part of a reversible function.
struct ReplayGrad {
  Tensors dx;         // with respect to xs
  Tensors dcaptured;  // to all else that the forward read, in the order of reading
};
/// For use inside inverse_and_grad(): the gradients of sum_i <dy_i, y_i> with respect to `xs` and
/// to everything that the forward captured. Undefined where y does not depend on it. Outputs that
/// are moved in are freed before the walk.
ReplayGrad replay_grad(Tensors ys, Tensors dys, const Tensors& xs);

/// For use inside inverse_and_grad() of `f`: `y`, one of its arguments, is not read any more, and
/// its bytes may go before the function returns. Does nothing where another function called it.
void done_with(const ReversibleFunction& f, const Tensor& y);

/// dst[i] += src[i] for gradients that may be undefined.
void add_gradients(Tensors& dst, const Tensors& src);

/// A leaf with x's bytes, outside x's graph: the start of a replayed part.
Tensor replay_leaf(const Tensor& x);

namespace detail {

/// Rebuilds the inputs of one application of a reversible function from its outputs.
class Restorer : public Disposable, public std::enable_shared_from_this<Restorer> {
 public:
  Restorer(std::shared_ptr<ReversibleFunction> f, std::string name);
  ~Restorer();
  Restorer(const Restorer&) = delete;
  Restorer& operator=(const Restorer&) = delete;

  const std::string& name() const { return name_; }
  Shape shape_of(const Storage& storage) const;
  ReplayRecord& record() { return record_; }
  std::vector<Saved>& outputs() { return outputs_; }
  /// Lets an output's bytes go although its one user still holds it; for good, if this is the
  /// `last` walk that needs them.
  void release_output(const Tensor& y, bool last) noexcept;
  ReversibleFunction& function() { return *f_; }

  /// Keeps `y` for inverse(). One that `aliases_input` is also an output of an earlier node, which
  /// needs it after this one.
  void add_output(const Tensor& y, bool aliases_input);
  /// Remembers the version of what forward() read beside its inputs, without holding it: that could
  /// close a cycle.
  void watch(const Saved& captured);

  /// Lets `x` be released once nobody else needs it, if that is sound.
  void add_input(const Tensor& x, bool may_release);
  void forget(const Storage& storage);
  /// Makes every output resident, running inverses from the top down; what lies between is let go
  /// again.
  void bring_back_outputs();
  /// Puts rebuilt inputs into the storages that were released. Returns the inputs.
  Tensors put_back(Tensors x);
  /// Withdraws the permissions of inputs that are still there.
  void withdraw() noexcept;
  /// Lets go of the inputs again, where that is sound.
  void release_inputs() noexcept;
  /// Lets go of the outputs again: of those that no earlier node needs, or of all.
  void release_outputs(bool all) noexcept;

 private:
  struct Input {
    Storage* storage;  // not held: it forgets itself here when it goes
    Shape shape;
    DType dtype;
    uint64_t checksum;
    bool verify;
  };

  struct Watched {
    std::shared_ptr<const std::atomic<uint32_t>> counter;
    uint32_t version;
    Shape shape;
  };

  Storage* first_released_output() const;
  void restore();

  std::shared_ptr<ReversibleFunction> f_;
  std::string name_;
  ReplayRecord record_;
  std::vector<Saved> outputs_;
  std::vector<bool> aliases_input_;  // per output
  std::vector<Input> inputs_;
  std::vector<Watched> captured_;
};

Tensors apply_reversible(std::shared_ptr<ReversibleFunction> f, Tensors x,
                         const std::vector<bool>& may_release);

/// Numbers of inputs released and rebuilt, and of calls of inverse() or inverse_and_grad(), on this
/// thread so far.
struct ReversibleCounters {
  int64_t releases = 0;
  int64_t rebuilds = 0;
  int64_t inverse_calls = 0;
};
ReversibleCounters& reversible_counters();

}  // namespace detail

template <TensorArgument... T>
Tensors reversible(std::shared_ptr<ReversibleFunction> f, T&&... x) {
  const std::vector<bool> may_release{(!std::is_lvalue_reference_v<T> && !std::is_const_v<T>)...};
  Tensors y = detail::apply_reversible(std::move(f), Tensors{x...}, may_release);
  const auto give_up = []<class X>(X&& handle) {
    if constexpr (!std::is_lvalue_reference_v<X> && !std::is_const_v<X>) handle = Tensor();
  };
  (give_up(std::forward<T>(x)), ...);
  return y;
}

}  // namespace tenet
