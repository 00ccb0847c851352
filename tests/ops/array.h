/// Index arithmetic for references that are written without the library.
#pragma once

#include <ops/op_case.h>

#include <functional>

namespace tenet::test {

using Index = std::vector<int64_t>;

inline int64_t place(const Shape& shape, const Index& index) {
  int64_t result = 0;
  for (int axis = 0; axis < shape.dim(); ++axis) {
    result = result * shape[axis] + index[static_cast<size_t>(axis)];
  }
  return result;
}

inline double at(const Array& x, const Index& index) {
  return x.values[static_cast<size_t>(place(x.shape, index))];
}

inline Index index_of(const Shape& shape, int64_t place) {
  Index index(static_cast<size_t>(shape.dim()));
  for (int axis = shape.dim() - 1; axis >= 0; --axis) {
    index[static_cast<size_t>(axis)] = place % shape[axis];
    place /= shape[axis];
  }
  return index;
}

/// The array whose element at each index is value(index).
inline Array array_of(const Shape& shape, const std::function<double(const Index&)>& value) {
  Array y{shape, {}};
  for (int64_t i = 0; i < shape.numel(); ++i) y.values.push_back(value(index_of(shape, i)));
  return y;
}

/// y[.., k, ..] = f(line of x along `axis`)[k], where f keeps or changes the length.
inline Array along(const Array& x, int axis,
                   const std::function<std::vector<double>(const std::vector<double>&)>& f) {
  if (axis < 0) axis += x.shape.dim();
  const auto a = static_cast<size_t>(axis);
  const auto line_at = [&](Index index) {
    std::vector<double> line;
    for (int64_t i = 0; i < x.shape[axis]; ++i) {
      index[a] = i;
      line.push_back(at(x, index));
    }
    return f(line);
  };
  Shape shape = x.shape;
  shape[axis] =
      static_cast<int64_t>(f(std::vector<double>(static_cast<size_t>(x.shape[axis]), 1.0)).size());
  return array_of(
      shape, [&](const Index& index) { return line_at(index)[static_cast<size_t>(index[a])]; });
}

}  // namespace tenet::test
