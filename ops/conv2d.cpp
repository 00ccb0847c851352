#include <tenet/core/autograd.h>
#include <tenet/ops/conv2d.h>
#include <tenet/ops/detail/conv2d_sizes.h>
#include <tenet/ops/reduce.h>

namespace tenet {
namespace {

// T(x, w, g) = sum(g * conv2d(x, w)) is linear in each of x, w and g. The three ops here are its
// derivatives by g, by x and by w, so the derivative of each is made of the other two.
Tensor output(const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dOptions& options);
Tensor input_gradient(const Tensor& g, const Tensor& w, const Shape& shape,
                      const Conv2dOptions& options);
Tensor weight_gradient(const Tensor& g, const Tensor& x, const Shape& shape,
                       const Conv2dOptions& options);

/// Two of x, w and g, and what the third is like.
struct FormNode : Node {
  Saved x, w, g;
  Shape x_shape, w_shape;
  Conv2dOptions options;

  void saved(SavedFields& f) override { f("x", x), f("w", w), f("g", g); }
};

// y = T_g(x, w) + bias: dx = T_x(w, dy), dw = T_w(x, dy), dbias = sum(dy)
struct OutputNode : FormNode {
  Tensors backward(const Tensors& dy) override {
    Tensors d(3);
    if (needs_grad(0)) d[0] = input_gradient(dy[0], w.get(*this), x_shape, options);
    if (needs_grad(1)) d[1] = weight_gradient(dy[0], x.get(*this), w_shape, options);
    if (needs_grad(2)) d[2] = sum(dy[0], {0, 2, 3});
    return d;
  }
};

// y = T_x(w, g): dg = T_g(dy, w), dw = T_w(dy, g)
struct InputNode : FormNode {
  Tensors backward(const Tensors& dy) override {
    Tensors d(2);
    if (needs_grad(0)) d[0] = output(dy[0], w.get(*this), {}, options);
    if (needs_grad(1)) d[1] = weight_gradient(g.get(*this), dy[0], w_shape, options);
    return d;
  }
};

// y = T_w(x, g): dg = T_g(x, dy), dx = T_x(dy, g)
struct WeightNode : FormNode {
  Tensors backward(const Tensors& dy) override {
    Tensors d(2);
    if (needs_grad(0)) d[0] = output(x.get(*this), dy[0], {}, options);
    if (needs_grad(1)) d[1] = input_gradient(g.get(*this), dy[0], x_shape, options);
    return d;
  }
};

Tensor output(const Tensor& x_, const Tensor& w_, const Tensor& bias,
              const Conv2dOptions& options) {
  const Tensor x = x_.contiguous(), w = w_.contiguous();
  const detail::Window window = detail::conv2d_window(x.shape(), w.shape(), options);
  Tensor y = empty_like(x, {x.size(0), w.size(0), window.rows.count(), window.columns.count()});
  detail::conv2d_kernel(x.device(), view(y), view(x), view(w), view_or_null(bias), options);
  if (auto* node = record<OutputNode>("conv2d", y, x, w, bias)) {
    if (node->needs_grad(0)) node->w = w;
    if (node->needs_grad(1)) node->x = x;
    node->x_shape = x.shape(), node->w_shape = w.shape(), node->options = options;
  }
  return y;
}

Tensor input_gradient(const Tensor& g_, const Tensor& w_, const Shape& shape,
                      const Conv2dOptions& options) {
  const Tensor g = g_.contiguous(), w = w_.contiguous();
  Tensor y = empty_like(g, shape);
  detail::conv2d_input_kernel(g.device(), view(y), view(g), view(w), options);
  if (auto* node = record<InputNode>("conv2d_input", y, g, w)) {
    if (node->needs_grad(0)) node->w = w;
    if (node->needs_grad(1)) node->g = g;
    node->x_shape = shape, node->w_shape = w.shape(), node->options = options;
  }
  return y;
}

Tensor weight_gradient(const Tensor& g_, const Tensor& x_, const Shape& shape,
                       const Conv2dOptions& options) {
  const Tensor g = g_.contiguous(), x = x_.contiguous();
  Tensor y = empty_like(g, shape);
  detail::conv2d_weight_kernel(g.device(), view(y), view(g), view(x), options);
  if (auto* node = record<WeightNode>("conv2d_weight", y, g, x)) {
    if (node->needs_grad(0)) node->x = x;
    if (node->needs_grad(1)) node->g = g;
    node->x_shape = x.shape(), node->w_shape = shape, node->options = options;
  }
  return y;
}

void check_shapes(const Tensor& x, const Tensor& w, const Tensor& bias,
                  const Conv2dOptions& options) {
  check(x.dim() == 4, "conv2d: x has shape {}, not (N, C, H, W)", x.shape());
  check(w.dim() == 4, "conv2d: weight has shape {}, not (O, C / groups, KH, KW)", w.shape());
  const int64_t groups = options.groups;
  check(groups >= 1 && groups <= std::max<int64_t>(w.size(0), 1) && w.size(0) % groups == 0,
        "conv2d: weight has shape {}, its {} outputs are not {} equal groups", w.shape(), w.size(0),
        groups);
  check(x.size(1) % groups == 0 && x.size(1) / groups == w.size(1),
        "conv2d: x has shape {}, weight {} with {} group(s) takes {} channels", x.shape(),
        w.shape(), groups, groups * w.size(1));
  check(!bias.defined() || bias.shape() == Shape{w.size(0)},
        "conv2d: bias has shape {}, weight {} gives {} channels",
        bias.defined() ? bias.shape() : Shape(), w.shape(), w.size(0));
  detail::check_window(detail::conv2d_window(x.shape(), w.shape(), options), "conv2d");
}

DType common_type(const Tensor& x, const Tensor& other, DType dtype, const char* name) {
  check(x.device() == other.device(), "conv2d: x is on {}, {} on {}; move one with .to(device)",
        x.device(), name, other.device());
  return promote(dtype, other.dtype(), "conv2d");
}

}  // namespace

Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias,
              const Conv2dOptions& options) {
  check_shapes(x, weight, bias, options);
  DType dtype = common_type(x, weight, x.dtype(), "weight");
  if (bias.defined()) dtype = common_type(x, bias, dtype, "bias");
  check(is_floating(dtype), "conv2d: dtype {} is not supported", dtype);
  if (dtype == DType::f32) dtype = autocast_dtype().value_or(dtype);
  return output(x.to(dtype), weight.to(dtype), bias.defined() ? bias.to(dtype).contiguous() : bias,
                options);
}

}  // namespace tenet
