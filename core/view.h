/// View: what a kernel sees of a tensor.
#pragma once

#include <tenet/core/shape.h>
#include <tenet/core/tensor.h>

namespace tenet {

/// A pointer with sizes and strides in elements. Holds nothing alive.
struct View {
  void* data = nullptr;
  DType dtype = DType::f32;
  Device device;
  Shape shape;
  Strides strides;

  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
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
