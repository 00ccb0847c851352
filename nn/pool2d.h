/// Pooling as modules.
#pragma once

#include <tenet/nn/module.h>
#include <tenet/ops/pool2d.h>

namespace tenet::nn {

/// max_pool2d() with its kernel and options fixed.
class MaxPool2d : public Module {
 public:
  explicit MaxPool2d(Size2d kernel, MaxPool2dOptions options = {})
      : kernel_(kernel), options_(options) {}

  Tensor operator()(const Tensor& x) const { return max_pool2d(x, kernel_, options_); }
  void fields(Fields&) override {}
  std::string describe() const override;

 private:
  Size2d kernel_;
  MaxPool2dOptions options_;
};

/// avg_pool2d() with its kernel and options fixed.
class AvgPool2d : public Module {
 public:
  explicit AvgPool2d(Size2d kernel, AvgPool2dOptions options = {})
      : kernel_(kernel), options_(options) {}

  Tensor operator()(const Tensor& x) const { return avg_pool2d(x, kernel_, options_); }
  void fields(Fields&) override {}
  std::string describe() const override;

 private:
  Size2d kernel_;
  AvgPool2dOptions options_;
};

}  // namespace tenet::nn
