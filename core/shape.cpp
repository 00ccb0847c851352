#include <fmt/format.h>

#include <tenet/core/error.h>
#include <tenet/core/shape.h>

#include <algorithm>
#include <limits>

namespace tenet {

Shape::Shape(std::span<const int64_t> sizes) {
  check(sizes.size() <= max_dim, "shape: {} dimensions; at most {} are supported", sizes.size(),
        int{max_dim});
  dim_ = static_cast<int>(sizes.size());
  std::copy(sizes.begin(), sizes.end(), sizes_.begin());
}

int64_t Shape::numel() const {
  int64_t product = 1;
  for (int64_t size : *this) product *= size;
  return product;
}

void Shape::push_back(int64_t size) { insert(dim_, size); }

void Shape::insert(int axis, int64_t size) {
  check(dim_ < max_dim, "shape: {} dimensions; at most {} are supported", dim_ + 1, int{max_dim});
  std::copy_backward(begin() + axis, end(), end() + 1);
  sizes_[axis] = size;
  ++dim_;
}

void Shape::erase(int axis) {
  std::copy(begin() + axis + 1, end(), begin() + axis);
  --dim_;
}

bool operator==(const Shape& a, const Shape& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

std::string to_string(const Shape& shape) {
  return fmt::format("({}{})", fmt::join(shape.begin(), shape.end(), ", "),
                     shape.dim() == 1 ? "," : "");
}

Strides contiguous_strides(const Shape& shape) {
  Strides strides = shape;
  int64_t step = 1;
  for (int axis = shape.dim() - 1; axis >= 0; --axis) {
    strides[axis] = step;
    step *= std::max<int64_t>(shape[axis], 1);
  }
  return strides;
}

Shape broadcast(const Shape& a, const Shape& b, const char* op) {
  const Shape& longer = a.dim() >= b.dim() ? a : b;
  const Shape& shorter = a.dim() >= b.dim() ? b : a;
  Shape result = longer;
  const int shift = longer.dim() - shorter.dim();
  for (int axis = 0; axis < shorter.dim(); ++axis) {
    const int64_t m = longer[axis + shift];
    const int64_t n = shorter[axis];
    check(m == n || m == 1 || n == 1, "{}: shapes {} and {} do not broadcast", op, a, b);
    result[axis + shift] = m == 1 ? n : m;
  }
  return result;
}

bool elements_fit(const Shape& shape, int64_t item_bytes) {
  int64_t bytes = item_bytes;
  for (int64_t size : shape) {
    if (size < 0 || __builtin_mul_overflow(bytes, std::max<int64_t>(size, 1), &bytes)) return false;
  }
  return bytes <= std::numeric_limits<int64_t>::max() / 2;
}

bool broadcasts_to(const Shape& from, const Shape& to) {
  const int shift = to.dim() - from.dim();
  if (shift < 0) return false;
  for (int axis = 0; axis < from.dim(); ++axis) {
    if (from[axis] != 1 && from[axis] != to[axis + shift]) return false;
  }
  return true;
}

int normalize_axis(int axis, int dim, const char* op) {
  check(axis >= -dim && axis < dim, "{}: axis {} is out of range for {} dimensions", op, axis, dim);
  return axis < 0 ? axis + dim : axis;
}

}  // namespace tenet
