#include <tenet/core/autograd.h>
#include <tenet/core/detail/core_kernels.h>
#include <tenet/ops/arithmetic.h>
#include <tenet/ops/creation.h>
#include <tenet/ops/detail/lines.h>
#include <tenet/ops/index.h>
#include <tenet/ops/views.h>

#include <cstring>

namespace tenet {
namespace {

/// `index` as contiguous i64, every element in [0, n).
Tensor places(const Tensor& index, int64_t n, Device device, const char* op) {
  check(index.dtype() == DType::i64 || index.dtype() == DType::i32,
        "{}: indices are {}; i64 or i32 is needed", op, index.dtype());
  check(index.device() == device, "{}: indices are on {}, the tensor is on {}", op, index.device(),
        device);
  Tensor result = index.detach().to(DType::i64).contiguous();
  detail::check_index_kernel(device, view(result), n, detail::no_index, op);
  return result;
}

/// x as (axes before, `axis` and the count - 1 after it, the rest), outside the graph.
Tensor as_rows(const Tensor& x, int axis, int count) {
  const NoGrad scope;
  Shape shape{1, 1, 1};
  for (int i = 0; i < x.dim(); ++i) shape[i < axis ? 0 : i < axis + count ? 1 : 2] *= x.shape()[i];
  return reshape(x, shape);
}

/// v with `axis` last and the other axes cut to those of `shape`.
View lines(View v, const Shape& shape, int axis) {
  const int64_t size = v.shape[axis], step = v.strides[axis];
  v.shape = shape;
  v.shape.erase(axis);
  v.strides.erase(axis);
  v.shape.push_back(size);
  v.strides.push_back(step);
  return v;
}

/// y = slices of x; dx = zeros with dy's slices added.
struct GatherRowsNode : Node {
  Saved index;
  Shape shape;
  int axis = 0;
  Tensors backward(const Tensors& dy) override {
    return {detail::add_rows(dy[0], axis, index.get(*this), shape, name().c_str())};
  }
  void saved(SavedFields& f) override { f("index", index); }
};

/// y = zeros with x's slices added; dx = dy's slices.
struct AddRowsNode : Node {
  Saved index;
  int axis = 0;
  Tensors backward(const Tensors& dy) override {
    return {detail::gather_rows(dy[0], axis, index.get(*this), name().c_str())};
  }
  void saved(SavedFields& f) override { f("index", index); }
};

/// y[i] = x[index[i]]; dx[index[i]] += dy[i]
struct GatherNode : Node {
  Saved index;
  Shape shape;
  int axis = 0;
  Tensors backward(const Tensors& dy) override {
    const Tensor dx = zeros(shape, {dy[0].dtype(), dy[0].device()}), at = index.get(*this);
    if (grad_enabled() || itemsize(dx.dtype()) == 2) return {scatter_add(dx, at, dy[0], axis)};
    detail::scatter_add_kernel(dx.device(), lines(view(dx), at.shape(), axis),
                               lines(view(at), at.shape(), axis),
                               lines(view(dy[0]), at.shape(), axis));
    return {dx};
  }
  void saved(SavedFields& f) override { f("index", index); }
};

/// y = x, y[index[i]] += src[i]; dx = dy, dsrc[i] = dy[index[i]]
struct ScatterAddNode : Node {
  Saved index;
  int axis = 0;
  Tensors backward(const Tensors& dy) override {
    return {dy[0], needs_grad(1) ? gather(dy[0], index.get(*this), axis) : Tensor()};
  }
  void saved(SavedFields& f) override { f("index", index); }
};

void check_fits(const Tensor& x, const Tensor& index, int axis, const char* op) {
  bool fits = index.dim() == x.dim();
  for (int i = 0; fits && i < x.dim(); ++i) fits = i == axis || index.shape()[i] <= x.shape()[i];
  check(fits, "{}: index shape {} does not fit into {} outside axis {}", op, index.shape(),
        x.shape(), axis);
}

}  // namespace

Tensor index_select(const Tensor& x, int axis, const Tensor& index) {
  axis = normalize_axis(axis, x.dim(), "index_select");
  check(index.dim() == 1, "index_select: index has shape {}; one axis is needed", index.shape());
  return detail::gather_rows(x, axis, index, "index_select");
}

Tensor gather(const Tensor& x, const Tensor& index, int axis) {
  axis = normalize_axis(axis, x.dim(), "gather");
  check_fits(x, index, axis, "gather");
  return detail::gather_at(x, places(index, x.shape()[axis], x.device(), "gather"), axis);
}

Tensor take_along(const Tensor& x, const Tensor& index, int axis) {
  axis = normalize_axis(axis, x.dim(), "take_along");
  check(index.dim() == x.dim(), "take_along: index shape {} and shape {} differ in dimensions",
        index.shape(), x.shape());
  Shape rest = x.shape(), index_rest = index.shape();
  rest[axis] = index_rest[axis] = 1;
  Shape full = broadcast(rest, index_rest, "take_along");
  full[axis] = x.shape()[axis];
  Shape index_full = full;
  index_full[axis] = index.shape()[axis];
  return gather(expand(x, full), expand(index, index_full), axis);
}

Tensor scatter_add(const Tensor& x, const Tensor& index, const Tensor& src, int axis) {
  axis = normalize_axis(axis, x.dim(), "scatter_add");
  check_fits(x, index, axis, "scatter_add");
  check(src.shape() == index.shape(), "scatter_add: src has shape {}, index {}", src.shape(),
        index.shape());
  check(src.device() == x.device(), "scatter_add: src is on {}, the tensor on {}", src.device(),
        x.device());
  const DType dtype = promote(x.dtype(), src.dtype(), "scatter_add");
  if (dtype == DType::f16 || dtype == DType::bf16) {
    return scatter_add(x.to(DType::f32), index, src.to(DType::f32), axis).to(dtype);
  }
  const Tensor base = x.to(dtype), added = src.to(dtype);
  const Tensor at = places(index, x.shape()[axis], x.device(), "scatter_add");
  Tensor y = base.detach().clone();
  const Shape& shape = index.shape();
  detail::scatter_add_kernel(x.device(), lines(view(y), shape, axis), lines(view(at), shape, axis),
                             lines(view(added), shape, axis));
  if (auto* node = record<ScatterAddNode>("scatter_add", y, base, added)) {
    node->index = at;
    node->axis = axis;
  }
  return y;
}

Tensor one_hot(const Tensor& indices, int64_t classes, DType dtype) {
  check(classes >= 0, "one_hot: {} classes; the number must not be negative", classes);
  const Tensor at = places(indices, classes, indices.device(), "one_hot");
  return equal(unsqueeze(at, -1), arange(0, classes, 1, {DType::i64, at.device()})).to(dtype);
}

Tensor masked_fill(const Tensor& x, const Tensor& mask, Scalar value) {
  check(broadcasts_to(mask.shape(), x.shape()),
        "masked_fill: mask shape {} does not broadcast to {}", mask.shape(), x.shape());
  return where(mask, value, x);
}

namespace detail {

Tensor gather_at(const Tensor& x, const Tensor& at, int axis) {
  Tensor y = empty_like(x, at.shape());
  const Shape& shape = at.shape();
  gather_kernel(x.device(), lines(view(y), shape, axis), lines(view(x), shape, axis),
                lines(view(at), shape, axis));
  if (auto* node = record<GatherNode>("gather", y, x)) {
    node->index = at;
    node->shape = x.shape();
    node->axis = axis;
  }
  return y;
}

Tensor gather_rows(const Tensor& x, int axis, const Tensor& index, const char* op) {
  const Tensor at = places(index, x.shape()[axis], x.device(), op);
  Shape shape = x.shape();
  shape.erase(axis);
  for (int i = 0; i < index.dim(); ++i) shape.insert(axis + i, index.shape()[i]);
  Tensor y = empty_like(x, shape);
  gather_rows_kernel(x.device(), view(as_rows(y, axis, index.dim())), view(as_rows(x, axis, 1)),
                     view(as_rows(at, 0, at.dim())));
  if (auto* node = record<GatherRowsNode>(op, y, x)) {
    node->index = at;
    node->shape = x.shape();
    node->axis = axis;
  }
  return y;
}

Tensor add_rows(const Tensor& src, int axis, const Tensor& index, const Shape& shape,
                const char* op) {
  if (itemsize(src.dtype()) == 2) {
    return add_rows(src.to(DType::f32), axis, index, shape, op).to(src.dtype());
  }
  Tensor y = empty_like(src, shape);
  fill_kernel(y.device(), view(y), 0);
  add_rows_kernel(y.device(), view(as_rows(y, axis, 1)), view(as_rows(index, 0, index.dim())),
                  view(as_rows(src, axis, index.dim())));
  if (auto* node = record<AddRowsNode>(op, y, src)) {
    node->index = index;
    node->axis = axis;
  }
  return y;
}

}  // namespace detail
}  // namespace tenet
