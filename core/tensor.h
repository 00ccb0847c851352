/// Tensor: a value handle to shaped, typed elements in a storage, and to their place in the
/// autograd graph.
#pragma once

#include <tenet/core/detail/formatter.h>
#include <tenet/core/device.h>
#include <tenet/core/dtype.h>
#include <tenet/core/error.h>
#include <tenet/core/shape.h>
#include <tenet/core/storage.h>

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace tenet {

class Node;
class Tensor;

/// What a new tensor is made as.
struct TensorOptions {
  DType dtype = DType::f32;       // of the elements
  Device device = Device::cpu();  // where they are
  bool requires_grad = false;     // as a leaf that collects a gradient
};

namespace detail {

/// What Tensor handles share. One per view; counted as one user of its storage.
struct TensorBody {
  StorageRef storage;
  Shape shape;
  Strides strides;
  int64_t offset = 0;  // in elements
  DType dtype = DType::f32;
  int fraction_bits = 0;  // of fixed32
  std::shared_ptr<Node>
      node;      // what made it, or the leaf that collects its gradient; null if none is needed
  int slot = 0;  // which output of `node`

  ~TensorBody();
};

}  // namespace detail

/// Copies share everything; views share the storage. Ops are free functions in ops/. A
/// default-constructed or moved-from tensor is undefined: defined() is false and any other member
/// is an Error.
class Tensor {
 public:
  Tensor() = default;

  /// Whether there is a tensor at all.
  bool defined() const { return body_ != nullptr; }
  /// The size of every axis; () for a scalar.
  const Shape& shape() const { return body().shape; }
  /// Size of one axis; negative axes count from the end.
  int64_t size(int axis) const;
  /// Strides in elements.
  const Strides& strides() const { return body().strides; }
  /// How many axes.
  int dim() const { return shape().dim(); }
  /// How many elements.
  int64_t numel() const { return shape().numel(); }
  /// The type of the elements.
  DType dtype() const { return body().dtype; }
  /// Where they are.
  Device device() const { return body().storage->device(); }
  /// Fraction bits of a fixed32 tensor: its unit is 2^-fraction_bits.
  int fraction_bits() const { return body().fraction_bits; }
  /// Whether the elements lie in row-major order without gaps.
  bool is_contiguous() const;

  /// The elements. Error if T is not the tensor's type, the tensor is not on the CPU or (for the
  /// span-like use) strided: element (i, j, ...) is at i * strides()[0] + j * strides()[1] + ...
  template <class T>
  const T* data() const {
    return static_cast<const T*>(checked_data(dtype_of<T>));
  }
  /// The elements for writing; counts as one in-place change.
  template <class T>
  T* mutable_data() const {
    bump_version();
    return static_cast<T*>(const_cast<void*>(checked_data(dtype_of<T>)));
  }
  /// The value of a one-element tensor, converted to T.
  template <class T>
  T item() const {
    const Scalar value = item_scalar();
    return value.as<T>();
  }
  /// All elements in row-major order, converted to T.
  template <class T>
  std::vector<T> to_vector() const;

  /// Row-major copy, or this tensor if it is row-major already. Differentiable.
  Tensor contiguous() const;
  /// A row-major copy in storage of its own. Differentiable.
  Tensor clone() const;
  /// Another type, or this tensor if it has that type. Differentiable between floats. fixed32 is
  /// refused: see encode().
  Tensor to(DType dtype) const;
  /// Another device, or this tensor if it is there. Differentiable.
  Tensor to(Device device) const;
  /// The same elements outside the graph.
  Tensor detach() const;

  /// Whether the tensor is part of the graph: a leaf that collects a gradient, or made from one.
  bool requires_grad() const { return body().node != nullptr; }
  /// Whether no recorded op made it.
  bool is_leaf() const;
  /// Makes this a leaf that collects a gradient, or, on a leaf, stops it. Error on a tensor that an
  /// op made, and on integers and boolean.
  Tensor& set_requires_grad(bool requires_grad);
  /// The gradient that backward() has added up here; undefined before. Only leaves have one, and
  /// tensors that asked by retain_grad().
  Tensor grad() const;
  /// Replaces the gradient of a leaf, which copies see. Error: not a leaf, another shape, type or
  /// device.
  void set_grad(Tensor grad) const;
  /// Makes the gradient undefined.
  void clear_grad() const;
  /// Makes backward() keep the gradient of this tensor though an op made it. Error: no graph.
  void retain_grad() const;
  /// Calls `hook` with the whole gradient of this tensor once per backward walk; a defined result
  /// replaces it.
  void on_grad(std::function<Tensor(const Tensor&)> hook) const;
  /// How many in-place changes the storage has seen.
  uint32_t version() const { return body().storage->version(); }
  /// Counts one more, for who writes the bytes by himself.
  void bump_version() const { body().storage->bump_version(); }

  /// Number, shape and type, with at most a few elements per axis.
  std::string to_string() const;

  /// What all copies share, for ops.
  detail::TensorBody& body() const {
    if (!body_) [[unlikely]]
      undefined();
    return *body_;
  }
  /// A handle to it.
  explicit Tensor(std::shared_ptr<detail::TensorBody> body) : body_(std::move(body)) {}
  /// Whether this handle is the only one to its body.
  bool unique() const { return body_.use_count() == 1; }

 private:
  [[noreturn]] static void undefined();
  const void* checked_data(DType dtype) const;
  Scalar item_scalar() const;

  std::shared_ptr<detail::TensorBody> body_;
};

/// A list of tensors, of an op that takes or gives several.
using Tensors = std::vector<Tensor>;

/// Uninitialised elements.
Tensor empty(Shape shape, TensorOptions options = {});
/// Uninitialised fixed32 elements.
Tensor empty_fixed(Shape shape, int fraction_bits, Device device = Device::cpu());
/// Uninitialised, with the type, fraction bits and device of `like`.
Tensor empty_like(const Tensor& like);
Tensor empty_like(const Tensor& like, Shape shape);

/// A copy of `values` in row-major order. Error if their number is not the shape's.
template <class T>
Tensor from_span(std::span<const T> values, Shape shape, TensorOptions options = {dtype_of<T>});
template <class T>
Tensor from_vector(const std::vector<T>& values, Shape shape,
                   TensorOptions options = {dtype_of<T>}) {
  return from_span(std::span<const T>(values), std::move(shape), options);
}
/// A zero-dimensional tensor.
Tensor scalar(Scalar value, TensorOptions options = {});

/// A tensor over memory that the caller keeps alive until `release` runs. Never released by
/// reversible nodes.
Tensor from_external(void* data, Shape shape, TensorOptions options, std::function<void()> release);

namespace detail {

/// A view of `base`'s storage outside the graph.
Tensor view_of(const Tensor& base, Shape shape, Strides strides, int64_t offset);
/// Whether the tensor's elements are all of its storage's bytes.
bool spans_storage(const Tensor& tensor);
Tensor from_bytes(const void* bytes, DType source, Shape shape, TensorOptions options);

}  // namespace detail

template <class T>
Tensor from_span(std::span<const T> values, Shape shape, TensorOptions options) {
  check(static_cast<int64_t>(values.size()) == shape.numel(), "from_span: {} values for shape {}",
        values.size(), shape);
  return detail::from_bytes(values.data(), dtype_of<T>, std::move(shape), options);
}

}  // namespace tenet

template <>
struct fmt::formatter<tenet::Tensor> : tenet::detail::TextFormatter {
  auto format(const tenet::Tensor& tensor, format_context& out) const {
    return write(tensor.to_string(), out);
  }
};
