/// Reversible functions for the engine's tests, and ways to run a chain of them.
#pragma once

#include <tenet/core/reversible.h>

#include <memory>
#include <vector>

#include "core/small_ops.h"

namespace tenet::test {

/// y1 = x1 + tanh(x2 w1), y2 = x2 + tanh(y1 w2) on matrices; on fixed32 streams exactly.
struct Coupling : ReversibleFunction {
  Coupling(Tensor a, Tensor b) : w1(std::move(a)), w2(std::move(b)) {}

  Tensors forward(const Tensors& x) override {
    ++forwards;
    if (throw_in_forward) throw Error("coupling: told to throw");
    Tensor y1 = add(x[0], part(x[1], w1));
    Tensor y2 = add(x[1], part(y1, w2));
    return {y1, y2};
  }
  Tensors inverse(const Tensors& y) override {
    if (++inverses == throw_at_inverse) throw Error("coupling: told to throw");
    Tensor x2 = subtract(y[1], part(y[0], w2));
    Tensor x1 = subtract(y[0], part(x2, w1));
    return {x1, x2};
  }
  bool exact() const override { return true; }
  std::string name() const override { return "coupling"; }

  virtual Tensor part(const Tensor& x, const Tensor& w) {
    return tanh_of(product(x.dtype() == DType::fixed32 ? from_fixed(x) : x, w));
  }
  static Tensor add(const Tensor& x, const Tensor& d) {
    return x.dtype() == DType::fixed32 ? fixed_plus(x, d) : plus(x, d);
  }
  static Tensor subtract(const Tensor& y, const Tensor& d) {
    return y.dtype() == DType::fixed32 ? fixed_minus(y, d) : minus(y, d);
  }

  Tensor w1, w2;
  int forwards = 0, inverses = 0;
  int throw_at_inverse = -1;
  bool throw_in_forward = false;
};

/// How a reversible function is run: as ordinary ops; as a node whose inputs stay; as a node that
/// may free them.
enum class Mode { plain, kept, moved };

inline Tensors apply(Mode mode, const std::shared_ptr<ReversibleFunction>& f, Tensors& x) {
  if (mode == Mode::plain) return f->forward(x);
  if (mode == Mode::moved) return reversible(f, std::move(x));
  return x.size() == 1 ? reversible(f, x[0]) : reversible(f, x[0], x[1]);
}

using Couplings = std::vector<std::shared_ptr<Coupling>>;

inline Couplings make_couplings(int depth, int64_t width, DType dtype = DType::f32) {
  Couplings list;
  for (int i = 0; i < depth; ++i) {
    Tensor w1 = leaf({width, width}, 2 * i + 1, dtype), w2 = leaf({width, width}, 2 * i + 2, dtype);
    list.push_back(std::make_shared<Coupling>(std::move(w1), std::move(w2)));
  }
  return list;
}

/// Two streams of a matrix x that keep no tie to it but the graph's.
inline Tensors streams_of(const Tensor& x) {
  if (x.dtype() == DType::f32) return {to_fixed(x), to_fixed(tanh_of(x))};
  return {plus(x, x), tanh_of(x)};
}

/// The streams' sum as floats.
inline Tensor merged(const Tensors& y) {
  if (y[0].dtype() != DType::fixed32) return plus(y[0], y[1]);
  return plus(from_fixed(y[0]), from_fixed(y[1]));
}

inline Tensors run_chain(Mode mode, const Couplings& fs, Tensors x) {
  for (const auto& f : fs) x = apply(mode, f, x);
  return x;
}

/// The couplings' weights, in order.
inline Tensors weights_of(const Couplings& fs) {
  Tensors weights;
  for (const auto& f : fs) weights.insert(weights.end(), {f->w1, f->w2});
  return weights;
}

/// Gradients so far of tensors, which are then cleared.
inline Tensors take_grads(const Tensors& xs) {
  Tensors grads;
  for (const Tensor& x : xs) {
    grads.push_back(x.grad());
    x.clear_grad();
  }
  return grads;
}

/// fixed32 streams (x in f32) have the same gradients to the bit; float streams (x in f64) up to
/// rounding.
inline bool agree(const Tensors& a, const Tensors& b, DType dtype) {
  if (dtype == DType::f32) return same_bits(a, b);
  bool close = a.size() == b.size();
  for (size_t i = 0; close && i < a.size(); ++i) {
    close =
        a[i].defined() == b[i].defined() &&
        (!a[i].defined() || (a[i].shape() == b[i].shape() && max_difference(a[i], b[i]) < 1e-9));
  }
  return close;
}

}  // namespace tenet::test
