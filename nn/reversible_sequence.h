/// A stack of reversible residual blocks.
#pragma once

#include <tenet/nn/coupling.h>
#include <tenet/nn/detail/module_handle.h>
#include <tenet/nn/layer_call.h>
#include <tenet/nn/module.h>

#include <concepts>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace tenet::nn {

/// How the residual streams are kept. `exact`: fixed32, rebuilt to the bit at any depth.
/// `floating`: the block's own type, rebuilt up to rounding.
enum class Residual { exact, floating };

/// What a ReversibleSequence is made with.
struct ReversibleSequenceOptions {
  Residual residual = Residual::exact;  // of both streams
  int fraction_bits = 16;       // of the fixed-point stream; its range is 2^(30 - fraction_bits)
  bool reversible = true;       // false keeps every activation; the results are the same
  std::string path = "layers";  // what errors call the blocks: path.0, path.1, ...
};

/// Blocks y1 = x1 + f(x2), y2 = x2 + g(y1), one after another. Memory for activations does not grow
/// with their number.
///
///     nn::ReversibleSequence layers;
///     for (int i = 0; i < 12; ++i) {
///       layers.add(std::make_shared<Attention>(), std::make_shared<FeedForward>());
///     }
///     auto [y1, y2] = layers(x);  // both streams start as x
class ReversibleSequence : public Module {
 public:
  explicit ReversibleSequence(ReversibleSequenceOptions options = {})
      : options_(std::move(options)) {}

  /// Appends a block of two modules Tensor -> Tensor, or (Tensor, LayerCall) -> Tensor. The same
  /// modules may stand in several blocks. g_rows is AdditiveCoupling's. A module whose class says
  /// `static constexpr bool takes_fixed32 = true` sees the stream of Residual::exact as it is, not
  /// decoded.
  template <std::derived_from<Module> F, std::derived_from<Module> G>
  void add(std::shared_ptr<F> f, std::shared_ptr<G> g, std::string f_name = "f",
           std::string g_name = "g", int64_t g_rows = 0) {
    blocks_.push_back(
        {Part(std::move(f)), Part(std::move(g)), std::move(f_name), std::move(g_name), g_rows});
  }

  /// The two streams after the last block, as floats of x's type; both start as x. `calls` go to
  /// the blocks, one for all or one for each. Observed of each block: "x1" and "x2", the streams
  /// after it.
  std::pair<Tensor, Tensor> operator()(Tensor x, const std::vector<LayerCall>& calls = {});

  /// How many blocks.
  size_t size() const { return blocks_.size(); }
  /// What it was made with.
  const ReversibleSequenceOptions& options() const { return options_; }
  /// False keeps every activation from now on; the results are the same.
  void set_reversible(bool reversible) { options_.reversible = reversible; }
  void fields(Fields& f) override;

 private:
  struct Layer {
    template <class M>
    Layer(std::shared_ptr<M> m)  // NOLINT(google-explicit-constructor): what a ModuleHandle gives
        : call([m](const Tensor& x, const LayerCall& how) {
            if constexpr (std::is_invocable_v<M&, const Tensor&, const LayerCall&>) {
              return (*m)(x, how);
            } else {
              return (*m)(x);
            }
          }) {
      if constexpr (requires { M::takes_fixed32; }) takes_fixed32 = M::takes_fixed32;
    }
    std::function<Tensor(const Tensor&, const LayerCall&)> call;
    bool takes_fixed32 = false;
  };
  using Part = detail::ModuleHandle<Layer>;
  struct Block {
    Part f, g;
    std::string f_name, g_name;
    int64_t g_rows;
  };

  ReversibleSequenceOptions options_;
  std::vector<Block> blocks_;
};

}  // namespace tenet::nn
