/// The affine coupling of normalizing flows.
#pragma once

#include <tenet/nn/reversible_stack.h>

#include <functional>
#include <string>
#include <utility>

namespace tenet::nn {

/// What an AffineCoupling is made with.
struct AffineCouplingOptions {
  double limit = 2;      // |s| stays below it, so that exp(s) neither vanishes nor overflows
  bool swapped = false;  // x2 stays and x1 is changed
  std::string name = "affine_coupling";  // in errors and pictures
};

/// y1 = x1, y2 = x2 exp(s) + t, and a third output log|det dy/dx| = sum(s) for each batch element;
/// inverted by x2 = (y2 - t) exp(-s).
///
/// x1 (B, .., D1), x2 (B, .., D2), log-determinant (B,). The net gives (r, t) = net(x1), shape
/// (B, .., 2 D2), and s = limit tanh(r / limit). It runs once more in backward. Dinh et al.,
/// "Density estimation using Real NVP" (2017), section 3. Errors: a limit that is not positive;
/// streams of less than two axes; a net that gives another shape.
class AffineCoupling : public ReversibleModule {
 public:
  /// Of a module (B, .., D1) -> (B, .., 2 D2).
  template <std::derived_from<Module> Net>
  explicit AffineCoupling(std::shared_ptr<Net> net, AffineCouplingOptions options = {})
      : net_(std::move(net)), options_(std::move(options)) {
    check_options();
  }

  Tensors forward(const Tensors& x) override;
  /// Reads y1 and y2; the log-determinant may be left out.
  Tensors inverse(const Tensors& y) override;
  InverseAndGrad inverse_and_grad(const Tensors& y, const Tensors& dy) override;
  std::string name() const override { return options_.name; }
  void fields(Fields& f) override { net_.fields(f, "net"); }

 private:
  void check_options() const;
  /// s and t.
  std::pair<Tensor, Tensor> map(const Tensor& from, const Tensor& to) const;
  static Tensors outputs(const Tensor& x, const Tensor& s, const Tensor& t);

  detail::ModuleHandle<std::function<Tensor(const Tensor&)>> net_;
  AffineCouplingOptions options_;
};

}  // namespace tenet::nn
