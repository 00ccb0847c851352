/// Couplings: invertible functions made of functions that are not.
#pragma once

#include <tenet/core/reversible.h>

#include <functional>
#include <memory>
#include <string>

namespace tenet::nn {

/// y1 = x1 + f(x2), y2 = x2 + g(y1); inverted by x2 = y2 - g(y1), x1 = y1 - f(x2).
///
/// x1, x2 are two streams of one shape: floats, or fixed32 (see encode()), which f and g see
/// decoded and whose inverse is exact. Backward runs f and g once more each. Gomez et al., "The
/// Reversible Residual Network" (2017), section 3. Error: a sum is not finite, or overflows its
/// fixed-point range; the message begins with the part's name.
class AdditiveCoupling : public ReversibleFunction {
 public:
  /// Of one stream, of whose shape the result is.
  using Function = std::function<Tensor(const Tensor&)>;

  /// The names are for errors: "{name}.{f_name}", say. With g_rows > 0, g, a function of each
  /// position alone, is applied to so many rows (positions of all sequences, one after the other)
  /// at a time, and in the backward pass differentiated at once: what it keeps inside is no more
  /// than that of g_rows rows.
  AdditiveCoupling(Function f, Function g, std::string name = "additive_coupling",
                   const std::string& f_name = "f", const std::string& g_name = "g",
                   int64_t g_rows = 0);

  /// Whether f and g take a fixed32 stream as it is, not decoded, and so need no copy of it.
  void take_fixed32(bool f, bool g) { f_.takes_fixed32 = f, g_.takes_fixed32 = g; }

  Tensors forward(const Tensors& x) override;
  Tensors inverse(const Tensors& y) override;
  InverseAndGrad inverse_and_grad(const Tensors& y, const Tensors& dy) override;
  /// Adds to dy, and lets go of what it has used. The backward pass calls this one: derived classes
  /// that differentiate in their own way override it.
  InverseAndGrad inverse_and_grad_in_place(const Tensors& y, Tensors dy) override;
  bool exact() const override { return true; }
  std::string name() const override { return name_; }

 private:
  struct Part {
    Function function;
    std::string name;
    int section;
    int64_t rows = 0;  // at a time; 0: all
    bool takes_fixed32 = false;

    /// function(x), in its replay section, on the decoded stream unless it takes fixed32.
    Tensor operator()(const Tensor& x) const;
    Tensor add_to(const Tensor& stream, const Tensor& x) const;
    /// x (.., d) as matrices of at most `rows` rows; as it is if one holds all.
    Tensors pieces(const Tensor& x) const;
    /// The function on a piece.
    Tensor on_piece(size_t number, const Tensor& x) const;
  };

  /// A tensor of all rows, written a piece at a time, so that no pieces have to be kept.
  struct Joined {
    const Part& part;
    Shape shape;
    Tensor whole = {};
    Tensors places = {};

    void put(size_t number, Tensor piece);
  };

  /// What comes back from one half of the coupling, and the gradient through its part.
  struct Half {
    Tensor source, dx;
  };
  Half half(const Part& part, const Tensor& input, const Tensor& target, const Tensor& d,
            Tensors& dcaptured) const;

  std::string name_;
  Part f_, g_;
};

/// A coupling of two modules, held by shared_ptr: one module may be part of many couplings.
template <class F, class G>
std::shared_ptr<AdditiveCoupling> additive_coupling(std::shared_ptr<F> f, std::shared_ptr<G> g) {
  return std::make_shared<AdditiveCoupling>([f](const Tensor& x) { return (*f)(x); },
                                            [g](const Tensor& x) { return (*g)(x); });
}

}  // namespace tenet::nn
