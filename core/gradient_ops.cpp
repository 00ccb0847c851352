/// The three ops that the engine itself uses on gradients, each differentiable.
#include <tenet/core/autograd.h>
#include <tenet/core/detail/core_kernels.h>

#include <algorithm>
#include <utility>

namespace tenet::detail {
namespace {

/// y = a + b; da = db = dy.
struct AccumulateNode : Node {
  Tensors backward(const Tensors& dy) override { return {dy[0], dy[0]}; }
};

/// y = sum of x over broadcast axes; dx = dy broadcast.
struct SumToNode : Node {
  Shape shape;
  Tensors backward(const Tensors& dy) override { return {expand(dy[0], shape)}; }
};

/// y = x broadcast; dx = dy, which the engine sums to x's shape.
struct ExpandNode : Node {
  Tensors backward(const Tensors& dy) override { return {dy[0]}; }
};

thread_local Tensors* given = nullptr;

bool is_ours_alone(const Tensor& a) {
  const Storage& storage = *a.body().storage.get();
  return a.unique() && !a.requires_grad() && storage.sole() && !storage.external() &&
         spans_storage(a);
}

}  // namespace

GivenGradients::GivenGradients(Tensors& gradients) : previous_(std::exchange(given, &gradients)) {}
GivenGradients::~GivenGradients() { given = previous_; }

Tensors take_gradients(const Tensors& gradients) {
  return &gradients == given ? std::move(*given) : gradients;
}

bool may_overwrite(const Tensor& dy) {
  const auto is_dy = [&](const Tensor& gradient) { return &gradient == &dy; };
  return given && std::any_of(given->begin(), given->end(), is_dy) && is_ours_alone(dy);
}

bool may_overwrite(const Node& node, const Saved& saved) {
  const Storage* storage = saved.storage();
  return node.last_walk() && !grad_enabled() && storage && storage->sole() &&
         !storage->external() && !storage->restorer() && saved.bytes() == storage->bytes();
}

Tensor accumulate(Tensor a, const Tensor& b) {
  Tensor sum = std::move(a);
  if (!grad_enabled() && is_ours_alone(sum)) {
    accumulate_kernel(sum.device(), view(sum), view(b));
    sum.bump_version();
    return sum;
  }
  Tensor copy;
  {
    const NoGrad scope;
    copy = sum.clone();
  }
  accumulate_kernel(copy.device(), view(copy), view(b));
  record<AccumulateNode>("accumulate", copy, sum, b);
  return copy;
}

Tensor sum_to(const Tensor& x, const Shape& shape) {
  Shape padded = x.shape();
  const int shift = x.dim() - shape.dim();
  for (int axis = 0; axis < x.dim(); ++axis) padded[axis] = axis < shift ? 1 : shape[axis - shift];
  Tensor y = empty_like(x, padded);
  sum_to_kernel(x.device(), view(y), view(x));
  y = view_of(y, shape, contiguous_strides(shape), 0);
  if (auto* node = record<SumToNode>("sum_to", y, x)) node->shape = x.shape();
  return y;
}

Tensor expand(const Tensor& x, const Shape& shape) {
  check(broadcasts_to(x.shape(), shape), "expand: shape {} does not broadcast to {}", x.shape(),
        shape);
  check(elements_fit(shape, 1), "expand: shape {} has a negative size or too many elements", shape);
  const View v = broadcast_to(view(x), shape);
  Tensor y = view_of(x, v.shape, v.strides, x.body().offset);
  record<ExpandNode>("expand", y, x);
  return y;
}

}  // namespace tenet::detail
