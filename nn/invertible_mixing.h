/// Invertible mixing of channels: the 1x1 convolution of flows.
#pragma once

#include <tenet/nn/reversible_stack.h>

#include <cstdint>
#include <string>

namespace tenet {

class Generator;

namespace nn {

/// What an InvertibleMixing is made with.
struct InvertibleMixingOptions {
  int64_t reflections = 0;         // 0: as many as channels, which reach every orthogonal matrix
  int axis = -1;                   // of the channels
  Generator* generator = nullptr;  // of the initial vectors; null: default_generator()
};

/// y = x Q over the channel axis, Q = H_1 H_2 .. H_K, H_k = I - 2 v_k v_k^T / |v_k|^2; inverted by
/// x = y Q^T.
///
/// The streams, any number, count as one tensor joined along `axis`. `vectors` (K, channels).
/// Reflections and not an LU decomposition (the two choices for Glow's 1x1 convolution): Q stays
/// orthogonal whatever is learned, so that inversion needs no triangular solve, rounding errors add
/// up over depth and never multiply, and log|det Q| is 0 and no output. Tomczak & Welling,
/// "Improving Variational Auto-Encoders using Householder Flow" (2016); Kingma & Dhariwal, "Glow"
/// (2018), section 3.2.
class InvertibleMixing : public ReversibleModule {
 public:
  explicit InvertibleMixing(int64_t channels, InvertibleMixingOptions options = {});

  Tensors forward(const Tensors& x) override;
  Tensors inverse(const Tensors& y) override;
  std::string name() const override { return "invertible_mixing"; }
  void fields(Fields& f) override { f.parameter("vectors", vectors); }
  std::string describe() const override;

  /// Q (channels, channels).
  Tensor matrix() const;

  Tensor vectors;  // (K, channels), initially N(0, 1)

 private:
  Tensors apply(const Tensors& x, const Tensor& matrix) const;

  int axis_;
};

}  // namespace nn
}  // namespace tenet
