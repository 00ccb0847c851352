/// The position-wise feed-forward layer, a chunk of positions at a time.
#pragma once

#include <tenet/nn/activation.h>
#include <tenet/nn/linear.h>
#include <tenet/nn/module.h>

namespace tenet::nn {

/// What a FeedForward is made with.
struct FeedForwardOptions {
  int64_t d_model = 0, d_ff = 0;             // D and F
  Activation activation = Activation::gelu;  // between the two layers
  double dropout = 0;                        // of the inner layer, before the activation
  int64_t chunk = 0;                         // positions at a time; 0: all
  double std = 0;                            // of the initial weights; 0: as Linear's
};

/// y = output.dense(activation(dropout(dense.dense(x)))): (.., L, D) -> (.., L, D), F wide in
/// between.
///
/// With chunk > 0 no more than about `chunk` positions of each sequence are F wide at a time, in
/// the backward pass too, which runs each chunk once more. The output, dropout included, has the
/// same bits for every chunk and any length. Kitaev et al., "Reformer" (2020), section 3.
class FeedForward : public Module {
 public:
  explicit FeedForward(FeedForwardOptions options, Generator& generator = default_generator());

  Tensor operator()(const Tensor& x) const;
  void fields(Fields& f) override;
  std::string describe() const override;

 private:
  Tensor chunked(const Tensor& x) const;

  FeedForwardOptions options_;
  Linear up_, down_;
};

}  // namespace tenet::nn
