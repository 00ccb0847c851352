#include <tenet/core/autograd.h>
#include <tenet/core/detail/core_kernels.h>
#include <tenet/core/view.h>
#include <tenet/ops/concatenate.h>
#include <tenet/ops/views.h>

namespace tenet {
namespace {

/// `count` places of v from `start` on, along `axis`.
View part(View v, int axis, int64_t start, int64_t count) {
  if (count > 0)
    v.data = static_cast<std::byte*>(v.data) + start * v.strides[axis] * itemsize(v.dtype);
  v.shape[axis] = count;
  return v;
}

/// y = inputs in a row; dx_i = dy's part.
struct ConcatenateNode : Node {
  std::vector<int64_t> sizes;
  int axis = 0;
  Tensors backward(const Tensors& dy) override {
    Tensors dx(sizes.size());
    int64_t start = 0;
    for (size_t i = 0; i < sizes.size(); ++i) {
      if (needs_grad(i)) dx[i] = slice(dy[0], axis, start, start + sizes[i]);
      start += sizes[i];
    }
    return dx;
  }
};

/// y_i = parts of x; dx = dys in a row, zeros for a part without one.
struct SplitNode : Node {
  int axis = 0;
  Tensors backward(const Tensors& dy) override {
    Tensors parts = dy;
    for (size_t i = 0; i < parts.size(); ++i) {
      const OutputInfo& y = outputs()[i];
      if (parts[i].defined()) continue;
      parts[i] = expand(scalar(0, {y.grad_dtype, y.device}), y.shape);
    }
    return {concatenate(parts, axis)};
  }
};

/// y = x between constants; dx = dy's middle.
struct PadNode : Node {
  int axis = 0;
  int64_t start = 0, stop = 0;
  Tensors backward(const Tensors& dy) override { return {slice(dy[0], axis, start, stop)}; }
};

/// y = x reversed; dx = dy reversed.
struct FlipNode : Node {
  int axis = 0;
  Tensors backward(const Tensors& dy) override { return {flip(dy[0], axis)}; }
};

/// y = x rotated; dx = dy rotated back.
struct RollNode : Node {
  int axis = 0;
  int64_t shift = 0;
  Tensors backward(const Tensors& dy) override { return {roll(dy[0], -shift, axis)}; }
};

/// The tensors in their common type.
Tensors in_common_type(Tensors tensors) {
  const Tensor& first = tensors[0];
  if (first.dtype() == DType::fixed32) {
    for (const Tensor& x : tensors) {
      check(x.dtype() == DType::fixed32 && x.fraction_bits() == first.fraction_bits(),
            "concatenate: fixed32 with {} fraction bits and {} with {} do not go together",
            first.fraction_bits(), x.dtype(), x.fraction_bits());
    }
    return tensors;
  }
  DType dtype = first.dtype();
  for (const Tensor& x : tensors) dtype = promote(dtype, x.dtype(), "concatenate");
  for (Tensor& x : tensors) x = x.to(dtype);
  return tensors;
}

}  // namespace

Tensor concatenate(const Tensors& tensors, int axis) {
  check(!tensors.empty(), "concatenate: no tensors");
  const Tensors xs = in_common_type(tensors);
  Shape shape = xs[0].shape();
  axis = normalize_axis(axis, shape.dim(), "concatenate");
  std::vector<int64_t> sizes;
  for (const Tensor& x : xs) {
    check(x.device() == xs[0].device(), "concatenate: tensors on {} and {}", xs[0].device(),
          x.device());
    Shape same = x.shape();
    if (same.dim() == shape.dim()) same[axis] = xs[0].shape()[axis];
    check(same == xs[0].shape(), "concatenate: shapes {} and {} differ outside axis {}",
          xs[0].shape(), x.shape(), axis);
    sizes.push_back(x.shape()[axis]);
    if (sizes.size() > 1) shape[axis] += sizes.back();
  }
  Tensors y{empty_like(xs[0], shape)};
  int64_t start = 0;
  for (size_t i = 0; i < xs.size(); ++i) {
    detail::copy_kernel(y[0].device(), part(view(y[0]), axis, start, sizes[i]), view(xs[i]));
    start += sizes[i];
  }
  if (auto* node = record<ConcatenateNode>("concatenate", y, xs)) {
    node->sizes = sizes;
    node->axis = axis;
  }
  return y[0];
}

Tensor stack(const Tensors& tensors, int axis) {
  check(!tensors.empty(), "stack: no tensors");
  axis = normalize_axis(axis, tensors[0].dim() + 1, "stack");
  Tensors parts;
  for (const Tensor& x : tensors) {
    check(x.shape() == tensors[0].shape(), "stack: shapes {} and {} differ", tensors[0].shape(),
          x.shape());
    parts.push_back(unsqueeze(x, axis));
  }
  return concatenate(parts, axis);
}

Tensors split(const Tensor& x, const std::vector<int64_t>& sizes, int axis) {
  axis = normalize_axis(axis, x.dim(), "split");
  int64_t total = 0;
  Tensors ys;
  for (const int64_t size : sizes) {
    check(size >= 0, "split: size {} is negative", size);
    Shape shape = x.shape();
    shape[axis] = size;
    const int64_t offset = x.body().offset + (size > 0 ? total * x.strides()[axis] : 0);
    ys.push_back(detail::view_of(x, shape, x.strides(), offset));
    total += size;
  }
  check(total == x.shape()[axis], "split: sizes add up to {}, axis {} has size {}", total, axis,
        x.shape()[axis]);
  if (auto* node = record<SplitNode>("split", ys, {x})) node->axis = axis;
  return ys;
}

Tensor pad(const Tensor& x, int axis, int64_t before, int64_t after, Scalar value) {
  axis = normalize_axis(axis, x.dim(), "pad");
  check(before >= 0 && after >= 0, "pad: {} before and {} after; slice() takes elements away",
        before, after);
  Shape shape = x.shape();
  const int64_t size = shape[axis];
  shape[axis] = before + size + after;
  Tensor y = empty_like(x, shape);
  const View v = view(y);
  check(x.dtype() != DType::fixed32 || value.as_double() == 0,
        "pad: fixed-point stream with value {}; decode() it first", value.as_double());
  detail::fill_kernel(y.device(), part(v, axis, 0, before), value);
  detail::fill_kernel(y.device(), part(v, axis, before + size, after), value);
  detail::copy_kernel(y.device(), part(v, axis, before, size), view(x));
  if (auto* node = record<PadNode>("pad", y, x)) {
    node->axis = axis;
    node->start = before;
    node->stop = before + size;
  }
  return y;
}

Tensor flip(const Tensor& x, int axis) {
  axis = normalize_axis(axis, x.dim(), "flip");
  Tensor y = empty_like(x);
  View reversed = part(view(x), axis, x.shape()[axis] - 1, x.shape()[axis]);
  reversed.strides[axis] *= -1;
  detail::copy_kernel(y.device(), view(y), reversed);
  if (auto* node = record<FlipNode>("flip", y, x)) node->axis = axis;
  return y;
}

Tensor roll(const Tensor& x, int64_t shift, int axis) {
  axis = normalize_axis(axis, x.dim(), "roll");
  const int64_t size = x.shape()[axis];
  const int64_t places = size == 0 ? 0 : (shift % size + size) % size;
  Tensor y = empty_like(x);
  detail::copy_kernel(y.device(), part(view(y), axis, places, size - places),
                      part(view(x), axis, 0, size - places));
  detail::copy_kernel(y.device(), part(view(y), axis, 0, places),
                      part(view(x), axis, size - places, places));
  if (auto* node = record<RollNode>("roll", y, x)) {
    node->axis = axis;
    node->shift = shift;
  }
  return y;
}

}  // namespace tenet
