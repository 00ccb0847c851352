#include <tenet/core/autograd.h>
#include <tenet/core/detail/core_kernels.h>
#include <tenet/core/graph.h>
#include <tenet/core/tensor.h>
#include <tenet/core/view.h>

#include <algorithm>
#include <cstring>
#include <limits>

namespace tenet {
namespace {

Tensor make(Shape shape, DType dtype, int fraction_bits, Device device) {
  for (int64_t size : shape) check(size >= 0, "empty: shape {} has a negative size", shape);
  check(elements_fit(shape, itemsize(dtype)), "empty: shape {} is too large", shape);
  auto body = std::make_shared<detail::TensorBody>();
  auto storage = std::make_unique<detail::Storage>(shape.numel() * itemsize(dtype), device);
  body->storage = {storage.release(), detail::Storage::Holder::user};
  body->strides = contiguous_strides(shape);
  body->shape = shape;
  body->dtype = dtype;
  body->fraction_bits = fraction_bits;
  return Tensor(std::move(body));
}

/// y = x in another layout, type or device; dx = dy brought back.
struct CopyNode : Node {
  DType dtype = DType::f32;
  Device device;
  Tensors backward(const Tensors& dy) override { return {dy[0].to(device).to(dtype)}; }
};

/// x in another type or on another device, outside the graph.
Tensor copied(const Tensor& x, DType dtype, Device device) {
  Tensor y = make(x.shape(), dtype, x.fraction_bits(), device);
  if (x.device() == device) {
    detail::copy_kernel(device, view(y), view(x));
  } else {
    const Device cuda = x.device().is_cpu() ? device : x.device();
    detail::transfer_kernel(cuda, view(y), view(x.contiguous()));
  }
  return y;
}

Tensor copy_to(const Tensor& x, DType dtype, Device device, const char* name) {
  Tensor y = copied(x, dtype, device);
  if (!is_differentiable(x.dtype()) || !is_differentiable(dtype)) return y;
  if (auto* node = record<CopyNode>(name, y, x)) {
    node->dtype = grad_dtype(x.dtype());
    node->device = x.device();
  }
  return y;
}

void append_elements(const Tensor& tensor, const std::vector<double>& values, int axis,
                     int64_t& index, std::string& text) {
  constexpr int64_t shown = 6;
  if (axis == tensor.dim()) {
    text += is_floating(tensor.dtype()) ? fmt::format("{:.4g}", values[static_cast<size_t>(index)])
                                        : fmt::format("{}", values[static_cast<size_t>(index)]);
    ++index;
    return;
  }
  text += '[';
  const int64_t size = tensor.shape()[axis];
  const int64_t step = size == 0 ? 0 : contiguous_strides(tensor.shape())[axis];
  const int64_t start = index;
  for (int64_t i = 0; i < std::min(size, shown); ++i) {
    if (i > 0) text += ", ";
    append_elements(tensor, values, axis + 1, index, text);
  }
  if (size > shown) text += ", ...";
  index = start + size * step;
  text += ']';
}

}  // namespace

detail::TensorBody::~TensorBody() { dispose(std::move(node)); }

void Tensor::undefined() {
  fail("tensor: used while undefined (default-constructed or moved from)");
}

int64_t Tensor::size(int axis) const { return shape()[normalize_axis(axis, dim(), "size")]; }

bool Tensor::is_contiguous() const {
  const detail::TensorBody& b = body();
  if (b.shape.numel() == 0) return true;
  int64_t step = 1;
  for (int axis = b.shape.dim() - 1; axis >= 0; --axis) {
    if (b.shape[axis] != 1 && b.strides[axis] != step) return false;
    step *= b.shape[axis];
  }
  return true;
}

const void* Tensor::checked_data(DType type) const {
  const detail::TensorBody& b = body();
  const bool same = type == b.dtype || (b.dtype == DType::fixed32 && type == DType::i32);
  check(same, "data: the tensor holds {}, not {}", b.dtype, type);
  check(b.storage->device().is_cpu(), "data: the tensor is on {}; use .to(Device::cpu())",
        b.storage->device());
  return b.storage->data() + b.offset * itemsize(b.dtype);
}

Scalar Tensor::item_scalar() const {
  check(numel() == 1, "item: the tensor has shape {}, not one element", shape());
  const Tensor value = detach().to(Device::cpu());
  if (is_floating(value.dtype())) return value.to_vector<double>()[0];
  return value.to_vector<int64_t>()[0];
}

template <class T>
std::vector<T> Tensor::to_vector() const {
  Tensor source = detach().to(Device::cpu());
  const NoGrad scope;
  Tensor copy = make(shape(), dtype_of<T>, 0, Device::cpu());
  View from = view(source);
  if (source.dtype() == DType::fixed32) from.dtype = DType::i32;
  detail::copy_kernel(Device::cpu(), view(copy), from);
  const T* first = copy.data<T>();
  return {first, first + numel()};
}
template std::vector<float> Tensor::to_vector() const;
template std::vector<double> Tensor::to_vector() const;
template std::vector<int32_t> Tensor::to_vector() const;
template std::vector<int64_t> Tensor::to_vector() const;
template std::vector<uint8_t> Tensor::to_vector() const;

Tensor Tensor::contiguous() const { return is_contiguous() ? *this : clone(); }

Tensor Tensor::clone() const { return copy_to(*this, dtype(), device(), "clone"); }

Tensor Tensor::to(DType type) const {
  if (type == dtype()) return *this;
  check(type != DType::fixed32, "to: use encode() to make a fixed-point stream");
  check(dtype() != DType::fixed32, "to: fixed-point stream; decode() it first");
  return copy_to(*this, type, device(), "to");
}

Tensor Tensor::to(Device target) const {
  return target == device() ? *this : copy_to(*this, dtype(), target, "to");
}

Tensor Tensor::detach() const {
  const detail::TensorBody& b = body();
  return detail::view_of(*this, b.shape, b.strides, b.offset);
}

bool Tensor::is_leaf() const { return !body().node || body().node->is_leaf(); }

Tensor& Tensor::set_requires_grad(bool requires_grad) {
  detail::TensorBody& b = body();
  check(is_leaf(), "set_requires_grad: the tensor was made by {}; detach() it first",
        b.node ? b.node->name() : "");
  check(!requires_grad || is_differentiable(b.dtype),
        "set_requires_grad: a tensor of type {} cannot need a gradient", b.dtype);
  if (requires_grad && !b.node) b.node = std::make_shared<Leaf>(*this);
  if (!requires_grad) b.node.reset();
  return *this;
}

Tensor Tensor::grad() const {
  const detail::TensorBody& b = body();
  if (!b.node) return {};
  if (b.node->is_leaf()) return static_cast<const Leaf&>(*b.node).grad;
  const auto& kept = b.node->outputs()[static_cast<size_t>(b.slot)].retained;
  return kept ? *kept : Tensor();
}

void Tensor::set_grad(Tensor grad) const {
  const detail::TensorBody& b = body();
  check(b.node && b.node->is_leaf(), "set_grad: only a leaf that needs a gradient has one");
  check(!grad.defined() || (grad.shape() == b.shape && grad.dtype() == grad_dtype(b.dtype)),
        "set_grad: the gradient is {} {}, the tensor {} {}",
        grad.defined() ? grad.dtype() : b.dtype, grad.defined() ? grad.shape() : Shape(), b.dtype,
        b.shape);
  check(!grad.defined() || grad.device() == device(),
        "set_grad: the gradient is on {}, the tensor on {}; move one with .to(device)",
        grad.defined() ? grad.device() : Device(), device());
  static_cast<Leaf&>(*b.node).grad = std::move(grad);
}

void Tensor::clear_grad() const {
  const detail::TensorBody& b = body();
  if (!b.node) return;
  if (b.node->is_leaf()) {
    static_cast<Leaf&>(*b.node).grad = Tensor();
  } else if (const auto& kept = b.node->outputs()[static_cast<size_t>(b.slot)].retained) {
    *kept = Tensor();
  }
}

void Tensor::retain_grad() const {
  const detail::TensorBody& b = body();
  check(b.node != nullptr, "retain_grad: the tensor has no graph");
  if (b.node->is_leaf()) return;
  auto& kept = b.node->outputs()[static_cast<size_t>(b.slot)].retained;
  if (!kept) kept = std::make_shared<Tensor>();
}

void Tensor::on_grad(std::function<Tensor(const Tensor&)> hook) const {
  const detail::TensorBody& b = body();
  check(b.node != nullptr, "on_grad: the tensor has no graph");
  check(hook != nullptr, "on_grad: the hook is empty");
  b.node->outputs()[static_cast<size_t>(b.slot)].hooks.push_back(std::move(hook));
}

std::string Tensor::to_string() const {
  if (!defined()) return "tensor(undefined)";
  std::string text = "tensor(";
  if (numel() > 1000) {
    text += "...";
  } else {
    const std::vector<double> values =
        detail::spans_storage(*this) ? to_vector<double>() : detach().clone().to_vector<double>();
    int64_t index = 0;
    append_elements(*this, values, 0, index, text);
  }
  return text + fmt::format(", {} {}, {})", dtype(), shape(), device());
}

Tensor empty(Shape shape, TensorOptions options) {
  Tensor result = make(shape, options.dtype, 0, options.device);
  if (options.requires_grad) result.set_requires_grad(true);
  return result;
}

Tensor empty_fixed(Shape shape, int fraction_bits, Device device) {
  check(fraction_bits >= 0 && fraction_bits <= 30,
        "empty_fixed: {} fraction bits; 0 to 30 are allowed", fraction_bits);
  return make(shape, DType::fixed32, fraction_bits, device);
}

Tensor empty_like(const Tensor& like) { return empty_like(like, like.shape()); }

Tensor empty_like(const Tensor& like, Shape shape) {
  return make(shape, like.dtype(), like.fraction_bits(), like.device());
}

Tensor scalar(Scalar value, TensorOptions options) {
  Tensor result = make({}, options.dtype, 0, options.device);
  detail::fill_kernel(options.device, view(result), value);
  if (options.requires_grad) result.set_requires_grad(true);
  return result;
}

Tensor from_external(void* data, Shape shape, TensorOptions options,
                     std::function<void()> release) {
  check(elements_fit(shape, itemsize(options.dtype)),
        "from_external: shape {} has a negative size or too many elements", shape);
  check(data != nullptr || shape.numel() == 0, "from_external: data is null for shape {}", shape);
  auto body = std::make_shared<detail::TensorBody>();
  auto* storage = new detail::Storage(data, shape.numel() * itemsize(options.dtype), options.device,
                                      std::move(release));
  body->storage = {storage, detail::Storage::Holder::user};
  body->strides = contiguous_strides(shape);
  body->shape = shape;
  body->dtype = options.dtype;
  Tensor result(std::move(body));
  if (options.requires_grad) result.set_requires_grad(true);
  return result;
}

View view(const Tensor& tensor) {
  const detail::TensorBody& b = tensor.body();
  return {b.storage->data() + b.offset * itemsize(b.dtype), b.dtype, b.storage->device(), b.shape,
          b.strides};
}

View view_or_null(const Tensor& tensor) { return tensor.defined() ? view(tensor) : View(); }

View broadcast_to(View v, const Shape& shape) {
  const int shift = shape.dim() - v.shape.dim();
  Strides strides = shape;
  for (int axis = 0; axis < shape.dim(); ++axis) {
    const bool repeated = axis < shift || v.shape[axis - shift] == 1;
    strides[axis] = repeated ? 0 : v.strides[axis - shift];
  }
  v.shape = shape;
  v.strides = strides;
  return v;
}

namespace detail {

Tensor view_of(const Tensor& base, Shape shape, Strides strides, int64_t offset) {
  const TensorBody& from = base.body();
  auto body = std::make_shared<TensorBody>();
  body->storage = from.storage;
  body->shape = shape;
  body->strides = strides;
  body->offset = offset;
  body->dtype = from.dtype;
  body->fraction_bits = from.fraction_bits;
  return Tensor(std::move(body));
}

bool spans_storage(const Tensor& tensor) {
  return tensor.is_contiguous() &&
         tensor.numel() * itemsize(tensor.dtype()) == tensor.body().storage->bytes();
}

Tensor from_bytes(const void* bytes, DType source, Shape shape, TensorOptions options) {
  Tensor copy = make(shape, source, 0, Device::cpu());
  const size_t size = static_cast<size_t>(copy.numel() * itemsize(source));
  if (size > 0) std::memcpy(copy.body().storage->data(), bytes, size);
  // A caller's numbers are no op's result: anomaly mode leaves them alone.
  Tensor result = std::move(copy);
  if (options.dtype != source) result = copied(result, options.dtype, Device::cpu());
  if (!options.device.is_cpu()) result = copied(result, options.dtype, options.device);
  if (options.requires_grad) result.set_requires_grad(true);
  return result;
}

}  // namespace detail
}  // namespace tenet
