/// The position-wise feed-forward layer, a chunk of positions at a time.
#pragma once

#include <tenet/nn/activation.h>
#include <tenet/nn/linear.h>
#include <tenet/nn/module.h>

namespace tenet::nn {

struct FeedForwardOptions {
  int64_t d_model = 0, d_ff = 0;
  Activation activation = Activation::gelu;
  double dropout = 0;  // of the inner layer, before the activation
  int64_t chunk = 0;   // positions at a time; 0: all
  double std = 0;      // of the initial weights; 0: as Linear's
};

/// y = output.dense(activation(dropout(dense.dense(x)))): (B, L, D) -> (B, L, D). Chunks change memory, not the result:
/// the inner width exists for one chunk at a time, in the backward pass too.
class FeedForward : public Module {
 public:
  explicit FeedForward(FeedForwardOptions options, Generator& generator = default_generator());

  Tensor operator()(const Tensor& x) const;
  void fields(Fields& f) override;

 private:
  /// The layer on some positions, on its own: it may outlive the module.
  struct Part {
    Tensor up, up_bias, down, down_bias;
    FeedForwardOptions options;
    bool training;
    Tensor operator()(const Tensor& x) const;
  };
  Part part() const;

  FeedForwardOptions options_;
  Linear up_, down_;
};

}  // namespace tenet::nn
