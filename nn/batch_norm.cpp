#include <tenet/core/grad_mode.h>
#include <tenet/core/replay.h>
#include <tenet/nn/batch_norm.h>
#include <tenet/nn/init.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/batch_norm.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/inplace.h>

#include <array>

namespace tenet::nn {

BatchNorm2d::BatchNorm2d(int64_t channels, BatchNorm2dOptions options) : options_(options) {
  check(channels >= 1, "batch_norm: {} channels; at least 1 is needed", channels);
  if (options.momentum) {
    check(*options.momentum >= 0 && *options.momentum <= 1,
          "batch_norm: momentum is {}; it must be 0 to 1", *options.momentum);
  }
  if (options.affine) {
    weight = constant_parameter({channels}, 1);
    bias = constant_parameter({channels}, 0);
  }
  const memory::Scope category(memory::Category::parameter);
  running_mean = zeros({channels});
  running_var = ones({channels});
  num_batches_tracked = zeros({}, {.dtype = DType::i64});
}

Tensor BatchNorm2d::operator()(const Tensor& x) const {
  check(x.dim() == 4, "batch_norm: x has shape {}, not (N, C, H, W)", x.shape());
  check(x.size(1) == running_mean.size(0), "batch_norm: x has shape {}, the layer {} channels",
        x.shape(), running_mean.size(0));
  const tenet::BatchNormOptions options{weight, bias, options_.epsilon};
  if (!training()) {
    // What a second run reads must be what the first one read.
    const auto now = [this] { return std::array{running_mean.version(), running_var.version()}; };
    check(replay(now) == now(),
          "batch_norm: the running statistics have changed since a function that is run again");
    return batch_norm(x, running_mean, running_var, options);
  }
  const BatchNormOutput result = batch_norm(x, options);
  if (!replaying() && x.numel() > 0) update(result.mean, result.variance, x.numel() / x.size(1));
  return result.y;
}

void BatchNorm2d::update(const Tensor& mean, const Tensor& variance, int64_t count) const {
  const NoGrad scope;
  add_(num_batches_tracked, 1);
  const double momentum = options_.momentum.value_or(1.0 / num_batches_tracked.item<double>());
  const double unbiased = static_cast<double>(count) / static_cast<double>(count - 1);
  const auto approach = [&](const Tensor& running, const Tensor& latest, double factor) {
    const Tensor was = running.to(latest.dtype());
    copy_(running, add(mul(was, 1 - momentum), mul(latest, momentum * factor)));
  };
  approach(running_mean, mean, 1);
  approach(running_var, variance, unbiased);
}

void BatchNorm2d::fields(Fields& f) {
  f.parameter("weight", weight);
  f.parameter("bias", bias);
  f.buffer("running_mean", running_mean);
  f.buffer("running_var", running_var);
  f.buffer("num_batches_tracked", num_batches_tracked);
}

std::string BatchNorm2d::describe() const {
  return fmt::format("BatchNorm2d({}{})", running_mean.size(0),
                     weight.defined() ? "" : ", no weight and bias");
}

}  // namespace tenet::nn
