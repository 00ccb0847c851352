#include <tenet/core/autograd.h>
#include <tenet/ops/detail/window.h>
#include <tenet/ops/pool2d.h>

namespace tenet {
namespace {

detail::Window window(const Tensor& x, Size2d kernel, Size2d stride_, Size2d padding,
                      const char* op) {
  check(x.dim() == 4, "{}: x has shape {}, not (N, C, H, W)", op, x.shape());
  check(is_floating(promote(x.dtype(), x.dtype(), op)), "{}: dtype {} is not supported", op,
        x.dtype());
  check(x.size(2) >= 1 && x.size(3) >= 1 && x.size(2) <= INT32_MAX / x.size(3),
        "{}: x has shape {}; its planes must have 1 to {} elements", op, x.shape(), INT32_MAX);
  const Size2d stride = stride_ == Size2d(0) ? kernel : stride_;
  const detail::Window w{{x.size(2), kernel.height, stride.height, padding.height},
                         {x.size(3), kernel.width, stride.width, padding.width}};
  check_window(w, op);
  check(padding.height <= kernel.height / 2 && padding.width <= kernel.width / 2,
        "{}: padding {} is more than half of kernel {}", op, padding, kernel);
  return w;
}

Shape pooled(const Tensor& x, const detail::Window& w) {
  return {x.size(0), x.size(1), w.rows.count(), w.columns.count()};
}

// --- Maximum -------------------------------------------------------------------------------------

Tensor pick(const Tensor& x_, const Tensor& index);
Tensor unpick(const Tensor& y_, const Tensor& index, const Shape& shape);

// y = x at the index: dx = dy put there
struct PickNode : Node {
  Saved index;
  Shape shape;
  Tensors backward(const Tensors& dy) override { return {unpick(dy[0], index.get(*this), shape)}; }
  void saved(SavedFields& f) override { f("index", index); }
};

// x = y put at the index: dy = dx there
struct UnpickNode : Node {
  Saved index;
  Tensors backward(const Tensors& dx) override { return {pick(dx[0], index.get(*this))}; }
  void saved(SavedFields& f) override { f("index", index); }
};

void record_pick(const char* op, Tensor& y, const Tensor& x, const Tensor& index) {
  if (auto* node = record<PickNode>(op, y, x)) {
    node->index = index;
    node->shape = x.shape();
  }
}

Tensor pick(const Tensor& x_, const Tensor& index) {
  const Tensor x = x_.contiguous();
  Tensor y = empty_like(x, index.shape());
  detail::pick_kernel(x.device(), view(y), view(x), view(index));
  record_pick("max_pool2d_pick", y, x, index);
  return y;
}

Tensor unpick(const Tensor& y_, const Tensor& index, const Shape& shape) {
  const Tensor y = y_.contiguous();
  Tensor x = empty_like(y, shape);
  detail::unpick_kernel(y.device(), view(x), view(y), view(index));
  if (auto* node = record<UnpickNode>("max_pool2d_unpick", x, y)) node->index = index;
  return x;
}

// --- Mean ----------------------------------------------------------------------------------------

struct AvgPlan {
  detail::Window window;
  bool count_padding;
  Shape shape;  // of the images
};

Tensor average(const Tensor& x_, const AvgPlan& plan);
Tensor spread(const Tensor& y_, const AvgPlan& plan);

struct AvgNode : Node {
  AvgPlan plan;
  Tensors backward(const Tensors& dy) override { return {spread(dy[0], plan)}; }
};

struct SpreadNode : Node {
  AvgPlan plan;
  Tensors backward(const Tensors& dx) override { return {average(dx[0], plan)}; }
};

Tensor average(const Tensor& x_, const AvgPlan& plan) {
  const Tensor x = x_.contiguous();
  Tensor y = empty_like(x, pooled(x, plan.window));
  detail::avg_pool2d_kernel(x.device(), view(y), view(x), plan.window, plan.count_padding);
  if (auto* node = record<AvgNode>("avg_pool2d", y, x)) node->plan = plan;
  return y;
}

Tensor spread(const Tensor& y_, const AvgPlan& plan) {
  const Tensor y = y_.contiguous();
  Tensor x = empty_like(y, plan.shape);
  detail::avg_unpool2d_kernel(y.device(), view(x), view(y), plan.window, plan.count_padding);
  if (auto* node = record<SpreadNode>("avg_unpool2d", x, y)) node->plan = plan;
  return x;
}

}  // namespace

Tensor max_pool2d(const Tensor& x_, Size2d kernel, const MaxPool2dOptions& options) {
  const detail::Window w = window(x_, kernel, options.stride, options.padding, "max_pool2d");
  const Tensor x = x_.contiguous();
  Tensor y = empty_like(x, pooled(x, w));
  const Tensor index = empty(y.shape(), {DType::i32, x.device()});
  detail::max_pool2d_kernel(x.device(), view(y), view(index), view(x), w);
  record_pick("max_pool2d", y, x, index);
  return y;
}

Tensor avg_pool2d(const Tensor& x, Size2d kernel, const AvgPool2dOptions& options) {
  const detail::Window w = window(x, kernel, options.stride, options.padding, "avg_pool2d");
  return average(x, {w, options.count_include_pad, x.shape()});
}

}  // namespace tenet
