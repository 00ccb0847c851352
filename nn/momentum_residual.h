/// The residual block that momentum makes invertible.
#pragma once

#include <tenet/nn/reversible_stack.h>

#include <functional>
#include <string>

namespace tenet::nn {

/// What a MomentumResidual is made with.
struct MomentumResidualOptions {
  double momentum = 0.9;                   // m, 0 < m < 1
  std::string name = "momentum_residual";  // in errors and pictures
};

/// v' = m v + (1 - m) f(x), x' = x + v' on streams (x, v) of one shape; inverted by x = x' - v',
/// v = (v' - (1 - m) f(x)) / m.
///
/// Any residual network becomes reversible this way: f is its block, v starts at 0. Each inversion
/// multiplies the rounding error of v by 1/m; at m = 0.9 and 30 blocks that is a factor 24. f runs
/// once more in backward. Sander et al., "Momentum Residual Neural Networks" (2021), section 3.
class MomentumResidual : public ReversibleModule {
 public:
  /// Of a module that keeps the shape. Error: m outside (0, 1).
  template <std::derived_from<Module> F>
  explicit MomentumResidual(std::shared_ptr<F> f, MomentumResidualOptions options = {})
      : f_(std::move(f)), options_(std::move(options)) {
    check_options();
  }

  Tensors forward(const Tensors& x) override;
  Tensors inverse(const Tensors& y) override;
  InverseAndGrad inverse_and_grad(const Tensors& y, const Tensors& dy) override;
  std::string name() const override { return options_.name; }
  void fields(Fields& f) override { f_.fields(f, "f"); }

 private:
  void check_options() const;
  void check_streams(const Tensors& x) const;
  /// (1 - m) f(x).
  Tensor push(const Tensor& x) const;

  detail::ModuleHandle<std::function<Tensor(const Tensor&)>> f_;
  MomentumResidualOptions options_;
};

}  // namespace tenet::nn
