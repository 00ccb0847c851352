/// Shapes and strides.
///
/// Glossary, used everywhere: B batch, L length, D model width, H heads, K head width, F
/// feed-forward width, C chunk length, R hash rounds, N buckets, V vocabulary.
#pragma once

#include <tenet/core/detail/formatter.h>

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

namespace tenet {

/// Up to eight integers, by value: a shape, or strides counted in elements.
class Shape {
 public:
  /// The most axes a tensor can have.
  static constexpr int max_dim = 8;

  constexpr Shape() = default;
  /// Sizes from the first axis on. Error: more than max_dim.
  Shape(std::initializer_list<int64_t> sizes) : Shape(std::span(sizes.begin(), sizes.size())) {}
  explicit Shape(std::span<const int64_t> sizes);

  /// How many axes.
  int dim() const { return dim_; }
  /// Whether there are none, as of a scalar.
  bool empty() const { return dim_ == 0; }
  /// Product of the sizes; 1 for the zero-dimensional shape.
  int64_t numel() const;
  /// The size of an axis, counted from 0; not checked.
  int64_t operator[](int axis) const { return sizes_[axis]; }
  int64_t& operator[](int axis) { return sizes_[axis]; }
  /// The last size. Needs dim() >= 1.
  int64_t back() const { return sizes_[dim_ - 1]; }

  /// A new last axis.
  void push_back(int64_t size);
  /// A new axis, before the one that had this number.
  void insert(int axis, int64_t size);
  /// Without this axis.
  void erase(int axis);

  /// The sizes in order, for loops and algorithms.
  const int64_t* begin() const { return sizes_.data(); }
  const int64_t* end() const { return sizes_.data() + dim_; }
  int64_t* begin() { return sizes_.data(); }
  int64_t* end() { return sizes_.data() + dim_; }
  /// Whether they have the same sizes in the same order.
  friend bool operator==(const Shape& a, const Shape& b);

 private:
  std::array<int64_t, max_dim> sizes_{};
  int dim_ = 0;
};

/// How far apart neighbours along each axis are, in elements.
using Strides = Shape;

/// "(2, 3)", "(2,)" or "()".
std::string to_string(const Shape& shape);

/// Row-major strides of `shape`.
Strides contiguous_strides(const Shape& shape);

/// NumPy's broadcast of two shapes. Error: `op: shapes (2, 3) and (4,) do not broadcast`.
Shape broadcast(const Shape& a, const Shape& b, const char* op);

/// Whether no size is negative and the bytes of all elements, and with sizes 0 counted as 1 their
/// strides, can be counted in 64 bits.
bool elements_fit(const Shape& shape, int64_t item_bytes);
/// Whether `from` broadcasts to `to` without changing `to`.
bool broadcasts_to(const Shape& from, const Shape& to);

/// Maps a negative axis to its place. Error: `op: axis 2 is out of range for 2 dimensions`.
int normalize_axis(int axis, int dim, const char* op);

}  // namespace tenet

template <>
struct fmt::formatter<tenet::Shape> : tenet::detail::TextFormatter {
  auto format(const tenet::Shape& shape, format_context& out) const {
    return write(tenet::to_string(shape), out);
  }
};
