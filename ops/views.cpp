#include <tenet/core/autograd.h>
#include <tenet/core/detail/core_kernels.h>
#include <tenet/core/view.h>
#include <tenet/ops/concatenate.h>
#include <tenet/ops/views.h>

#include <algorithm>
#include <numeric>

namespace tenet {
namespace {

/// y = x in another shape; dx = dy in x's.
struct ReshapeNode : Node {
  Shape shape;
  Tensors backward(const Tensors& dy) override { return {reshape(dy[0], shape)}; }
};

/// y axis i = x axis axes[i]; dx is dy permuted back.
struct PermuteNode : Node {
  std::vector<int> inverse;
  Tensors backward(const Tensors& dy) override { return {permute(dy[0], inverse)}; }
};

/// y = x[start::step]; dx = dy in zeros.
struct SliceNode : Node {
  Shape shape;
  int axis = 0;
  int64_t start = 0, step = 1;
  Tensors backward(const Tensors& dy) override {
    return {detail::unslice(dy[0], shape, axis, start, step)};
  }
};

/// y = zeros with x at start, start + step, ...; dx = dy there.
struct UnsliceNode : Node {
  int axis = 0;
  int64_t start = 0, stop = 0, step = 1;
  Tensors backward(const Tensors& dy) override { return {slice(dy[0], axis, start, stop, step)}; }
};

Shape inferred(const Shape& from, Shape to, const char* op) {
  const Shape asked = to;
  int unknown = -1;
  for (int axis = 0; axis < to.dim(); ++axis) {
    check(to[axis] >= -1, "{}: shape {} has a negative size", op, asked);
    check(to[axis] != -1 || unknown < 0, "{}: shape {} has more than one -1", op, asked);
    if (to[axis] == -1) unknown = axis;
  }
  const int64_t count = from.numel();
  if (unknown >= 0) to[unknown] = 1;
  const bool fits = elements_fit(to, 1);
  const int64_t known = fits ? to.numel() : 0;
  if (unknown >= 0 && known > 0) to[unknown] = count / known;
  check(fits && to.numel() == count && (unknown < 0 || known > 0),
        "{}: shape {} has {} elements, {} does not fit", op, from, count, asked);
  return to;
}

/// Strides with which the elements of `from`, in row-major order, have shape `to`; nothing if there
/// are none.
std::optional<Strides> strides_as(const Shape& from, const Strides& strides, const Shape& to) {
  if (from.numel() == 0) return contiguous_strides(to);
  Strides result = contiguous_strides(to);
  int next = to.dim() - 1;
  int64_t left =
      1;  // elements of the run of x's axes that step evenly, not yet given to an axis of y
  int64_t step = 1;
  for (int axis = from.dim() - 1; axis >= 0; --axis) {
    if (from[axis] == 1) continue;
    if (left == 1) step = strides[axis];
    left *= from[axis];
    const bool goes_on = [&] {
      int before = axis - 1;
      while (before >= 0 && from[before] == 1) --before;
      return before >= 0 && strides[before] == strides[axis] * from[axis];
    }();
    if (goes_on) continue;
    while (next >= 0 && left > 1 && left % to[next] == 0) {
      result[next] = step;
      step *= to[next];
      left /= to[next];
      --next;
    }
    if (left != 1) return std::nullopt;
  }
  return result;
}

std::optional<Tensor> try_view(const Tensor& x, const Shape& shape) {
  const std::optional<Strides> strides = strides_as(x.shape(), x.strides(), shape);
  if (!strides) return std::nullopt;
  Tensor y = detail::view_of(x, shape, *strides, x.body().offset);
  if (auto* node = record<ReshapeNode>("reshape", y, x)) node->shape = x.shape();
  return y;
}

/// A view of x along one axis, outside the graph.
Tensor sliced(const Tensor& x, int axis, int64_t start, int64_t count, int64_t step) {
  Shape shape = x.shape();
  Strides strides = x.strides();
  const int64_t offset = x.body().offset + (count > 0 ? start * strides[axis] : 0);
  shape[axis] = count;
  strides[axis] *= step;
  return detail::view_of(x, shape, strides, offset);
}

}  // namespace

Tensor reshape(const Tensor& x, Shape shape) {
  shape = inferred(x.shape(), shape, "reshape");
  if (std::optional<Tensor> y = try_view(x, shape)) return *y;
  return *try_view(x.clone(), shape);
}

Tensor view(const Tensor& x, Shape shape) {
  shape = inferred(x.shape(), shape, "view");
  std::optional<Tensor> y = try_view(x, shape);
  check(y.has_value(), "view: shape {} with strides {} has no view of shape {}; use reshape",
        x.shape(), x.strides(), shape);
  return *y;
}

Tensor flatten(const Tensor& x, int start_axis, int end_axis) {
  if (x.dim() == 0) return reshape(x, {1});
  const int start = normalize_axis(start_axis, x.dim(), "flatten");
  const int end = normalize_axis(end_axis, x.dim(), "flatten");
  check(start <= end, "flatten: start axis {} lies behind end axis {}", start_axis, end_axis);
  Shape shape;
  for (int axis = 0; axis < x.dim(); ++axis) {
    if (axis > start && axis <= end) {
      shape[start] *= x.shape()[axis];
    } else {
      shape.push_back(x.shape()[axis]);
    }
  }
  return reshape(x, shape);
}

Tensor permute(const Tensor& x, const std::vector<int>& axes) {
  check(static_cast<int>(axes.size()) == x.dim(), "permute: {} axes for {} dimensions", axes.size(),
        x.dim());
  Axes(axes).flags(x.dim(), "permute");  // each once
  Shape shape = x.shape();
  Strides strides = x.strides();
  std::vector<int> inverse(axes.size());
  for (int i = 0; i < x.dim(); ++i) {
    const int axis = normalize_axis(axes[static_cast<size_t>(i)], x.dim(), "permute");
    shape[i] = x.shape()[axis];
    strides[i] = x.strides()[axis];
    inverse[static_cast<size_t>(axis)] = i;
  }
  Tensor y = detail::view_of(x, shape, strides, x.body().offset);
  if (auto* node = record<PermuteNode>("permute", y, x)) node->inverse = inverse;
  return y;
}

Tensor transpose(const Tensor& x, int a, int b) {
  std::vector<int> axes(static_cast<size_t>(x.dim()));
  std::iota(axes.begin(), axes.end(), 0);
  std::swap(axes[static_cast<size_t>(normalize_axis(a, x.dim(), "transpose"))],
            axes[static_cast<size_t>(normalize_axis(b, x.dim(), "transpose"))]);
  return permute(x, axes);
}

Tensor slice(const Tensor& x, int axis, int64_t start, int64_t stop, int64_t step) {
  axis = normalize_axis(axis, x.dim(), "slice");
  check(step >= 1, "slice: step {} is not positive; flip() reverses an axis", step);
  const int64_t size = x.shape()[axis];
  const auto place = [size](int64_t bound) {
    return std::clamp<int64_t>(bound < 0 ? bound + size : bound, 0, size);
  };
  start = place(start);
  stop = std::max(place(stop), start);
  step = std::min(step, std::max<int64_t>(size, 1));
  Tensor y = sliced(x, axis, start, (stop - start + step - 1) / step, step);
  if (auto* node = record<SliceNode>("slice", y, x)) {
    node->shape = x.shape();
    node->axis = axis;
    node->start = start;
    node->step = step;
  }
  return y;
}

Tensor select(const Tensor& x, int axis, int64_t index) {
  axis = normalize_axis(axis, x.dim(), "select");
  const int64_t size = x.shape()[axis];
  check(index >= -size && index < size, "select: index {} is outside axis {} of size {}", index,
        axis, size);
  const int64_t place = index < 0 ? index + size : index;
  return squeeze(slice(x, axis, place, place + 1), axis);
}

Tensors chunk(const Tensor& x, int64_t count, int axis) {
  axis = normalize_axis(axis, x.dim(), "chunk");
  check(count >= 1, "chunk: {} chunks; at least 1 is needed", count);
  const int64_t size = x.shape()[axis];
  const int64_t parts = std::max<int64_t>(std::min(count, size), 1);
  std::vector<int64_t> sizes;
  for (int64_t i = 0; i < parts; ++i) sizes.push_back(size / parts + (i < size % parts ? 1 : 0));
  return split(x, sizes, axis);
}

Tensor expand(const Tensor& x, Shape shape) { return detail::expand(x, shape); }

Tensor squeeze(const Tensor& x, const Axes& axes) {
  const std::vector<bool> chosen = axes.flags(x.dim(), "squeeze");
  Shape shape;
  for (int axis = 0; axis < x.dim(); ++axis) {
    const int64_t size = x.shape()[axis];
    const bool drop = chosen[static_cast<size_t>(axis)];
    check(!drop || size == 1 || axes.all(), "squeeze: axis {} has size {}, not 1", axis, size);
    if (!drop || size != 1) shape.push_back(size);
  }
  return view(x, shape);
}

Tensor unsqueeze(const Tensor& x, int axis) {
  Shape shape = x.shape();
  shape.insert(normalize_axis(axis, x.dim() + 1, "unsqueeze"), 1);
  return view(x, shape);
}

namespace detail {

Tensor unslice(const Tensor& x, const Shape& shape, int axis, int64_t start, int64_t step) {
  Tensor y = empty_like(x, shape);
  fill_kernel(y.device(), view(y), 0);
  copy_kernel(y.device(), view(sliced(y, axis, start, x.shape()[axis], step)), view(x));
  if (auto* node = record<UnsliceNode>("unslice", y, x)) {
    node->axis = axis;
    node->start = start;
    node->stop = std::min(shape[axis], start + x.shape()[axis] * step);
    node->step = step;
  }
  return y;
}

Tensor move_to_back(const Tensor& x, int axis) {
  std::vector<int> axes;
  for (int i = 0; i < x.dim(); ++i) {
    if (i != axis) axes.push_back(i);
  }
  axes.push_back(axis);
  return axis == x.dim() - 1 ? x : permute(x, axes);
}

Tensor move_from_back(const Tensor& x, int axis) {
  std::vector<int> axes;
  axes.reserve(static_cast<size_t>(x.dim()));
  for (int i = 0; i < x.dim() - 1; ++i) axes.push_back(i);
  axes.insert(axes.begin() + axis, x.dim() - 1);
  return axis == x.dim() - 1 ? x : permute(x, axes);
}

}  // namespace detail
}  // namespace tenet
