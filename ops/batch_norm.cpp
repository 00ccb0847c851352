#include <tenet/core/autograd.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/batch_norm.h>
#include <tenet/ops/elementwise.h>
#include <tenet/ops/reduce.h>
#include <tenet/ops/views.h>

namespace tenet {
namespace {

/// A contiguous (N, C, ...) as (N, C, elements).
View channels(const Tensor& x) {
  View v = view_or_null(x);
  if (!x.defined()) return v;
  Shape shape{x.size(0), x.size(1), 1};
  for (int axis = 2; axis < x.dim(); ++axis) shape[2] *= x.size(axis);
  v.shape = shape;
  v.strides = contiguous_strides(shape);
  return v;
}

/// All axes of x but that of the channels.
Axes others(const Tensor& x) {
  std::vector<int> axes{0};
  for (int axis = 2; axis < x.dim(); ++axis) axes.push_back(axis);
  return Axes(axes);
}

/// A (C,) so that it broadcasts along x's channels.
Tensor along_channels(const Tensor& c, const Tensor& x) {
  Shape shape{c.size(0)};
  for (int axis = 2; axis < x.dim(); ++axis) shape.push_back(1);
  return reshape(c, shape);
}

// With xhat = (x - mean) * r, r = 1 / sqrt(variance + epsilon) and g = dy * weight:
//   dx = r * (g - mean(g) - xhat * mean(g * xhat)), dweight = sum(dy * xhat), dbias = sum(dy)
struct BatchNormNode : Node {
  Saved x, mean_, variance, weight;
  double epsilon = 0;

  Tensors backward(const Tensors& dy) override {
    return grad_enabled() ? composed(dy[0]) : fused(dy[0].contiguous());
  }
  void saved(SavedFields& f) override {
    f("x", x);
    f("mean", mean_);
    f("variance", variance);
    f("weight", weight);
  }

 private:
  Tensors fused(const Tensor& dy) const {
    const Tensor input = x.get(*this), mean = mean_.get(*this);
    const auto wanted = [&](size_t i, const Shape& shape) {
      return needs_grad(i) ? empty_like(input, shape) : Tensor();
    };
    Tensors d{wanted(0, input.shape()), wanted(1, mean.shape()), wanted(2, mean.shape())};
    detail::batch_norm_backward_kernel(
        dy.device(),
        {channels(d[0]), view_or_null(d[1]), view_or_null(d[2]), channels(dy), channels(input),
         view(mean), view(variance.get(*this)), view_or_null(weight.get(*this)), epsilon});
    return d;
  }

  Tensors composed(const Tensor& dy) const {
    const DType dtype = dy.dtype(), wide = accumulate_dtype(dtype);
    const Tensor wide_dy = dy.to(wide);
    const Tensor input = x.get(*this).to(wide), scale = weight.get(*this);
    const Axes axes = others(input);
    const Tensor centered = sub(input, mean(input, axes, true));
    const Tensor r = rsqrt(add(mean(square(centered), axes, true), epsilon));
    const Tensor xhat = mul(centered, r);
    const Tensor g =
        scale.defined() ? mul(wide_dy, along_channels(scale.to(wide), input)) : wide_dy;
    const Tensor inner =
        sub(sub(g, mean(g, axes, true)), mul(xhat, mean(mul(g, xhat), axes, true)));
    return {mul(r, inner).to(dtype), sum(mul(wide_dy, xhat), axes).to(dtype),
            sum(wide_dy, axes).to(dtype)};
  }
};

// y = (x - mean) * r * weight + bias, r = (variance + epsilon)^(-1/2): dx = dy * r * weight,
// dmean = -sum(dx), dvariance = -sum(dx * (x - mean)) * r^2 / 2, dweight = sum(dy * (x - mean)) * r
struct ChannelNormNode : Node {
  Saved x, mean, variance, weight;
  double epsilon = 0;

  Tensors backward(const Tensors& dys) override {
    const DType dtype = dys[0].dtype(), wide = accumulate_dtype(dtype);
    const Tensor dy = dys[0].to(wide), w = weight.get(*this);
    const Axes axes = others(dy);
    const Tensor r = variance.defined() ? rsqrt(add(variance.get(*this), epsilon)) : Tensor();
    const Tensor scale = r.defined() && w.defined() ? mul(r, w.to(wide)) : r;
    Tensors d(5);
    if (needs_grad(0)) d[0] = mul(dy, along_channels(scale, dy)).to(dtype);
    if (needs_grad(1) || needs_grad(4)) {
      const Tensor dbias = sum(dy, axes);
      if (needs_grad(1)) d[1] = neg(mul(dbias, scale));
      d[4] = dbias.to(dtype);
    }
    if (needs_grad(2) || needs_grad(3)) {
      const Tensor centered = sub(x.get(*this).to(wide), along_channels(mean.get(*this), dy));
      const Tensor moment = mul(sum(mul(dy, centered), axes), r);
      d[2] = mul(mul(moment, scale), mul(r, -0.5));
      d[3] = moment.to(dtype);
    }
    return d;
  }
  void saved(SavedFields& f) override {
    f("x", x);
    f("mean", mean);
    f("variance", variance);
    f("weight", weight);
  }
};

/// What both forms do first: x, weight and bias in one type, row-major.
struct Operands {
  Tensor x, weight, bias;

  Operands(const Tensor& x_, const BatchNormOptions& options) {
    check(x_.dim() >= 2, "batch_norm: x has shape {}, not (N, C, ...)", x_.shape());
    DType dtype = promote(x_.dtype(), x_.dtype(), "batch_norm");
    for (const auto& [p, name] : {std::pair(options.weight, "weight"), {options.bias, "bias"}}) {
      if (!p.defined()) continue;
      check_parameter(x_, p, name);
      dtype = promote(dtype, p.dtype(), "batch_norm");
    }
    check(is_floating(dtype), "batch_norm: dtype {} is not supported", dtype);
    check(options.epsilon >= 0, "batch_norm: epsilon is {}; it must not be negative",
          options.epsilon);
    const auto converted = [&](const Tensor& t) {
      return t.defined() ? t.to(dtype).contiguous() : t;
    };
    x = converted(x_), weight = converted(options.weight), bias = converted(options.bias);
  }

  static void check_parameter(const Tensor& x, const Tensor& p, const char* name) {
    check(p.shape() == Shape{x.size(1)}, "batch_norm: {} has shape {}, x {} has {} channels", name,
          p.shape(), x.shape(), x.size(1));
    check(p.device() == x.device(), "batch_norm: x is on {}, {} on {}; move one with .to(device)",
          x.device(), name, p.device());
  }
};

Tensor normalize(const Operands& in, const Tensor& mean, const Tensor& variance, double epsilon) {
  Tensor y = empty_like(in.x);
  detail::channel_norm_kernel(
      y.device(), {channels(y), channels(in.x), view(mean), view(variance), view_or_null(in.weight),
                   view_or_null(in.bias), epsilon});
  return y;
}

}  // namespace

BatchNormOutput batch_norm(const Tensor& x, const BatchNormOptions& options) {
  const Operands in(x, options);
  check(x.numel() == 0 || x.numel() != x.size(1),
        "batch_norm: x {} has one value per channel, training needs more", x.shape());
  const TensorOptions statistics{accumulate_dtype(in.x.dtype()), x.device()};
  const Tensor mean = empty({x.size(1)}, statistics), variance = empty({x.size(1)}, statistics);
  detail::channel_statistics_kernel(x.device(), view(mean), view(variance), channels(in.x));
  Tensor y = normalize(in, mean, variance, options.epsilon);
  if (auto* node = record<BatchNormNode>("batch_norm", y, in.x, in.weight, in.bias)) {
    node->x = in.x;
    node->mean_ = mean;
    node->variance = variance;
    node->weight = in.weight;
    node->epsilon = options.epsilon;
  }
  return {y, mean, variance};
}

Tensor batch_norm(const Tensor& x, const Tensor& mean_, const Tensor& variance_,
                  const BatchNormOptions& options) {
  const Operands in(x, options);
  Operands::check_parameter(x, mean_, "mean");
  Operands::check_parameter(x, variance_, "variance");
  const DType wide = accumulate_dtype(in.x.dtype());
  const Tensor mean = mean_.to(wide).contiguous(), variance = variance_.to(wide).contiguous();
  Tensor y = normalize(in, mean, variance, options.epsilon);
  if (auto* node =
          record<ChannelNormNode>("batch_norm", y, in.x, mean, variance, in.weight, in.bias)) {
    const bool centered = node->needs_grad(2) || node->needs_grad(3);
    if (centered) node->x = in.x, node->mean = mean;
    if (centered || node->needs_grad(0) || node->needs_grad(1)) node->variance = variance;
    node->weight = in.weight;
    node->epsilon = options.epsilon;
  }
  return y;
}

}  // namespace tenet
