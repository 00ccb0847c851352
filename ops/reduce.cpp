#include <tenet/core/autograd.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/concatenate.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/elementwise.h>
#include <tenet/ops/index.h>
#include <tenet/ops/reduce.h>
#include <tenet/ops/views.h>

#include <algorithm>
#include <cmath>

namespace tenet {
namespace {

/// What a reduction needs to know about its axes.
struct Geometry {
  std::vector<bool> reduced;
  Shape keep;         // with size 1 along reduced axes
  int64_t count = 1;  // elements per output

  Geometry(const Tensor& x, const Axes& axes, const char* op)
      : reduced(axes.flags(x.dim(), op)), keep(x.shape()) {
    promote(x.dtype(), x.dtype(), op);  // refuses fixed32
    for (int axis = 0; axis < x.dim(); ++axis) {
      if (!reduced[static_cast<size_t>(axis)]) continue;
      count *= keep[axis];
      keep[axis] = 1;
    }
  }

  /// y without the reduced axes, outside the graph.
  Tensor without(const Tensor& y, bool keepdim) const {
    if (keepdim) return y;
    Shape shape;
    for (int axis = 0; axis < keep.dim(); ++axis) {
      if (!reduced[static_cast<size_t>(axis)]) shape.push_back(keep[axis]);
    }
    return detail::view_of(y, shape, contiguous_strides(shape), 0);
  }
};

Tensor reduced(const detail::ReduceKernel& kernel, const Tensor& x, const Geometry& geometry,
               DType dtype) {
  Tensor y = empty(geometry.keep, {dtype, x.device()});
  kernel(x.device(), view(y), view(x));
  return y;
}

void check_floating(const Tensor& x, const char* op) {
  check(x.dtype() == DType::fixed32 || is_floating(x.dtype()), "{}: dtype {} is not supported", op,
        x.dtype());
}

/// y = scale * sum(x); dx = scale * dy broadcast.
struct SumNode : Node {
  Shape shape, keep;
  double scale = 1;
  Tensors backward(const Tensors& dy) override {
    const Tensor scaled = scale == 1 ? dy[0] : mul(dy[0], scale);
    return {expand(reshape(scaled, keep), shape)};
  }
};

/// y = sum((x - mean)^2) / (n - correction); dx = dy * 2 (x - mean) / (n - correction)
struct VarNode : Node {
  Saved x;
  Axes axes;
  Shape keep;
  double scale = 1;
  Tensors backward(const Tensors& dy) override {
    const Tensor centered = sub(x.get(*this), mean(x.get(*this), axes, true));
    return {mul(mul(reshape(dy[0], keep), scale), centered)};
  }
  void saved(SavedFields& f) override { f("x", x); }
};

/// y = sqrt(sum(x^2)); dx = dy * x / y, 0 where y is 0.
struct NormNode : Node {
  Saved x, y;
  Shape keep;
  Tensors backward(const Tensors& dy) override {
    const Tensor length = reshape(y.get(*this), keep);
    const Tensor scale = div(reshape(dy[0], keep), where(equal(length, 0), 1, length));
    return {mul(x.get(*this), scale)};
  }
  void saved(SavedFields& f) override {
    f("x", x);
    f("y", y);
  }
};

/// y = log(sum(exp(x))); dx = dy * exp(x - y), 0 where y is -inf.
struct LogSumExpNode : Node {
  Saved x, y;
  Shape keep;
  /// y, or for half types, whose rounding would be that of every share, the same anew in f32.
  Tensor level(const Tensor& wide) {
    const Tensor rounded = y.get(*this);
    if (rounded.dtype() == wide.dtype()) return reshape(rounded, keep);
    std::vector<int> axes;
    for (int axis = 0; axis < keep.dim(); ++axis) {
      if (keep[axis] == 1) axes.push_back(axis);
    }
    return logsumexp(wide, axes, true);
  }
  Tensors backward(const Tensors& dy) override {
    const Tensor wide = x.get(*this).to(accumulate_dtype(dy[0].dtype())), top = level(wide);
    const Tensor shares = exp(sub(wide, where(equal(top, -INFINITY), 0, top)));
    return {mul(reshape(dy[0], keep).to(wide.dtype()), shares).to(dy[0].dtype())};
  }
  void saved(SavedFields& f) override {
    f("x", x);
    f("y", y);
  }
};

/// y = x at the place of the extreme; dx = dy there.
struct ExtremeNode : Node {
  Saved index;  // row-major over the reduced axes
  Shape shape;
  std::vector<bool> reduced;
  Tensors backward(const Tensors& dy) override {
    std::vector<int> order;  // kept axes, then reduced ones
    for (const bool wanted : {false, true}) {
      for (size_t axis = 0; axis < reduced.size(); ++axis) {
        if (reduced[axis] == wanted) order.push_back(static_cast<int>(axis));
      }
    }
    std::vector<int> inverse(order.size());
    Shape permuted = shape, lines;
    int64_t count = 1;
    for (int i = 0; i < shape.dim(); ++i) {
      const int axis = order[static_cast<size_t>(i)];
      inverse[static_cast<size_t>(axis)] = i;
      permuted[i] = shape[axis];
      if (reduced[static_cast<size_t>(axis)]) {
        count *= shape[axis];
      } else {
        lines.push_back(shape[axis]);
      }
    }
    Shape ones = lines;
    ones.push_back(1);
    lines.push_back(count);
    const Tensor zero = zeros(lines, {dy[0].dtype(), dy[0].device()});
    const Tensor places = reshape(index.get(*this), ones);
    return {
        permute(reshape(scatter_add(zero, places, reshape(dy[0], ones), -1), permuted), inverse)};
  }
  void saved(SavedFields& f) override { f("index", index); }
};

/// y[i] = x[0] + ... + x[i]; dx[i] = dy[i] + ... + dy[n - 1]
struct CumsumNode : Node {
  int axis = 0;
  Tensors backward(const Tensors& dy) override {
    return {flip(cumsum(flip(dy[0], axis), axis), axis)};
  }
};

Tensor extreme(const detail::ReduceKernel& kernel, const detail::ReduceKernel& place_kernel,
               const Tensor& x, const Axes& axes, bool keepdim, const char* op) {
  const Geometry geometry(x, axes, op);
  check(geometry.count > 0 || geometry.keep.numel() == 0,
        "{}: no elements along the axes of shape {}", op, x.shape());
  Tensor y = geometry.without(reduced(kernel, x, geometry, x.dtype()), keepdim);
  if (auto* node = record<ExtremeNode>(op, y, x)) {
    node->index = reduced(place_kernel, x, geometry, DType::i64);
    node->shape = x.shape();
    node->reduced = geometry.reduced;
  }
  return y;
}

Tensor place(const detail::ReduceKernel& kernel, const Tensor& x, const Axes& axes, bool keepdim,
             const char* op) {
  check(axes.all() || axes.list().size() == 1, "{}: {} axes; it takes one, or all", op,
        axes.list().size());
  const Geometry geometry(x, axes, op);
  check(geometry.count > 0 || geometry.keep.numel() == 0,
        "{}: no elements along the axes of shape {}", op, x.shape());
  return geometry.without(reduced(kernel, x, geometry, DType::i64), keepdim);
}

}  // namespace

Tensor sum(const Tensor& x, const Axes& axes, bool keepdim) {
  const Geometry geometry(x, axes, "sum");
  const DType dtype = is_floating(x.dtype()) ? x.dtype() : DType::i64;
  Tensor y = geometry.without(reduced(detail::sum_kernel, x, geometry, dtype), keepdim);
  if (auto* node = record<SumNode>("sum", y, x)) {
    node->shape = x.shape();
    node->keep = geometry.keep;
  }
  return y;
}

Tensor mean(const Tensor& x, const Axes& axes, bool keepdim) {
  const Geometry geometry(x, axes, "mean");
  if (!is_floating(x.dtype())) return mean(x.to(DType::f32), axes, keepdim);
  Tensor y = geometry.without(reduced(detail::mean_kernel, x, geometry, x.dtype()), keepdim);
  if (auto* node = record<SumNode>("mean", y, x)) {
    node->shape = x.shape();
    node->keep = geometry.keep;
    node->scale = 1.0 / static_cast<double>(std::max<int64_t>(geometry.count, 1));
  }
  return y;
}

Tensor var(const Tensor& x, const Axes& axes, bool keepdim, int correction) {
  check_floating(x, "var");
  const Geometry geometry(x, axes, "var");
  Tensor y = empty(geometry.keep, {x.dtype(), x.device()});
  detail::var_kernel(x.device(), view(y), view(x), correction);
  y = geometry.without(y, keepdim);
  if (auto* node = record<VarNode>("var", y, x)) {
    node->x = x;
    node->axes = axes;
    node->keep = geometry.keep;
    node->scale = 2.0 / static_cast<double>(geometry.count - correction);
  }
  return y;
}

Tensor norm(const Tensor& x, const Axes& axes, bool keepdim) {
  check_floating(x, "norm");
  const Geometry geometry(x, axes, "norm");
  Tensor y = geometry.without(reduced(detail::norm_kernel, x, geometry, x.dtype()), keepdim);
  if (auto* node = record<NormNode>("norm", y, x)) {
    node->x = x;
    node->y = y;
    node->keep = geometry.keep;
  }
  return y;
}

Tensor logsumexp(const Tensor& x, const Axes& axes, bool keepdim) {
  check_floating(x, "logsumexp");
  const Geometry geometry(x, axes, "logsumexp");
  Tensor y = geometry.without(reduced(detail::logsumexp_kernel, x, geometry, x.dtype()), keepdim);
  if (auto* node = record<LogSumExpNode>("logsumexp", y, x)) {
    node->x = x;
    node->y = y;
    node->keep = geometry.keep;
  }
  return y;
}

Tensor max(const Tensor& x, const Axes& axes, bool keepdim) {
  return extreme(detail::max_kernel, detail::argmax_kernel, x, axes, keepdim, "max");
}
Tensor min(const Tensor& x, const Axes& axes, bool keepdim) {
  return extreme(detail::min_kernel, detail::argmin_kernel, x, axes, keepdim, "min");
}
Tensor argmax(const Tensor& x, const Axes& axes, bool keepdim) {
  return place(detail::argmax_kernel, x, axes, keepdim, "argmax");
}
Tensor argmin(const Tensor& x, const Axes& axes, bool keepdim) {
  return place(detail::argmin_kernel, x, axes, keepdim, "argmin");
}

Tensor cumsum(const Tensor& x, int axis) {
  axis = normalize_axis(axis, x.dim(), "cumsum");
  promote(x.dtype(), x.dtype(), "cumsum");  // refuses fixed32
  Tensor y = empty(x.shape(), {is_floating(x.dtype()) ? x.dtype() : DType::i64, x.device()});
  {
    const NoGrad scope;
    detail::cumsum_kernel(x.device(), view(detail::move_to_back(y, axis)),
                          view(detail::move_to_back(x, axis)));
  }
  if (auto* node = record<CumsumNode>("cumsum", y, x)) node->axis = axis;
  return y;
}

namespace detail {

constinit ReduceKernel sum_kernel{"sum"};
constinit ReduceKernel mean_kernel{"mean"};
constinit ReduceKernel norm_kernel{"norm"};
constinit ReduceKernel logsumexp_kernel{"logsumexp"};
constinit ReduceKernel max_kernel{"max"};
constinit ReduceKernel min_kernel{"min"};
constinit ReduceKernel argmax_kernel{"argmax"};
constinit ReduceKernel argmin_kernel{"argmin"};
constinit Kernel<void(View, View, int)> var_kernel{"var"};
constinit Kernel<void(View, View)> cumsum_kernel{"cumsum"};

}  // namespace detail
}  // namespace tenet
