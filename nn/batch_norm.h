/// Batch normalisation of images.
#pragma once

#include <tenet/nn/module.h>

#include <cstdint>
#include <optional>

namespace tenet::nn {

/// What a BatchNorm2d is made with.
struct BatchNorm2dOptions {
  double epsilon = 1e-5;                 // added to the variance
  std::optional<double> momentum = 0.1;  // empty: running statistics are means over all batches
  bool affine = true;                    // with weight and bias
};

/// (N, C, H, W) -> the same, each channel normalised: in training by its mean and variance in this
/// batch, in evaluation by the running ones. weight and bias (C,) start at 1 and 0.
///
/// A batch in training moves running_mean and running_var (C,), which start at 0 and 1, by
/// `momentum` of the way to its mean and unbiased variance, and adds 1 to num_batches_tracked; the
/// second run of a reversible or checkpointed function and an empty batch do not. Errors: x has not
/// four axes, or in training one value per channel; the running statistics have changed before the
/// second run of a function that read them.
class BatchNorm2d : public Module {
 public:
  explicit BatchNorm2d(int64_t channels, BatchNorm2dOptions options = {});

  Tensor operator()(const Tensor& x) const;
  void fields(Fields& f) override;
  std::string describe() const override;

  Tensor weight, bias;                                    // (C,); undefined if not affine
  Tensor running_mean, running_var, num_batches_tracked;  // buffers: (C,), (C,) and i64 ()

 private:
  void update(const Tensor& mean, const Tensor& variance, int64_t count) const;

  BatchNorm2dOptions options_;
};

}  // namespace tenet::nn
