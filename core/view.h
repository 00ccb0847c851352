/// View: what a kernel sees of a tensor.
#pragma once

#include <tenet/core/shape.h>
#include <tenet/core/tensor.h>

namespace tenet {

/// A pointer with sizes and strides in elements. Holds nothing alive.
struct View {
  void* data = nullptr;      // the first element; null stands for an undefined tensor
  DType dtype = DType::f32;  // of the elements
  Device device;             // where they are
  Shape shape;               // the sizes
  Strides strides;           // in elements

  /// The first element as a T, which `dtype` has to say.
  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
  /// How many axes, and how many elements.
  int dim() const { return shape.dim(); }
  int64_t numel() const { return shape.numel(); }
};

/// The elements of `tensor`.
View view(const Tensor& tensor);
/// The same, or null data where `tensor` is undefined.
View view_or_null(const Tensor& tensor);

/// The same elements seen with stride 0 along axes of size 1, so that they have shape `shape`.
View broadcast_to(View v, const Shape& shape);

}  // namespace tenet
