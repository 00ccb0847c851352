/// References for ops on images, by their definitions in double, and random layouts to try them on.
#pragma once

#include <compare.h>
#include <ops/array.h>
#include <tenet/ops/conv2d.h>
#include <tenet/ops/pool2d.h>

#include <doctest/doctest.h>

#include <random>

namespace tenet::test {

inline int64_t windows(int64_t size, int64_t kernel, int64_t stride, int64_t padding,
                       int64_t dilation = 1) {
  int64_t count = 0;
  while (count * stride - padding + dilation * (kernel - 1) < size + padding) ++count;
  return count;
}

/// Calls term(y index, x index, w index) for each product in the definition of a convolution.
template <class F>
void for_each_term(const Shape& x, const Shape& w, const Shape& y, const Conv2dOptions& o,
                   const F& term) {
  for (int64_t i = 0; i < y.numel(); ++i) {
    const Index at = index_of(y, i);
    const int64_t group = at[1] / (w[0] / o.groups);
    for (int64_t k = 0; k < w[1] * w[2] * w[3]; ++k) {
      const Index tap = index_of({w[1], w[2], w[3]}, k);
      const int64_t row = at[2] * o.stride.height - o.padding.height + tap[1] * o.dilation.height;
      const int64_t column = at[3] * o.stride.width - o.padding.width + tap[2] * o.dilation.width;
      if (row < 0 || row >= x[2] || column < 0 || column >= x[3]) continue;
      term(at, Index{at[0], group * w[1] + tap[0], row, column},
           Index{at[1], tap[0], tap[1], tap[2]});
    }
  }
}

inline Shape conv_shape(const Shape& x, const Shape& w, const Conv2dOptions& o) {
  return {x[0], w[0], windows(x[2], w[2], o.stride.height, o.padding.height, o.dilation.height),
          windows(x[3], w[3], o.stride.width, o.padding.width, o.dilation.width)};
}

inline Array zeros_array(const Shape& shape) {
  return {shape, std::vector<double>(static_cast<size_t>(shape.numel()))};
}

inline double& element(Array& x, const Index& index) {
  return x.values[static_cast<size_t>(place(x.shape, index))];
}

/// y of (x, w) or (x, w, bias).
inline OpReference conv_reference(const Conv2dOptions& o) {
  return [o](const Arrays& in) {
    Array y = zeros_array(conv_shape(in[0].shape, in[1].shape, o));
    for (int64_t i = 0; in.size() > 2 && i < y.shape.numel(); ++i) {
      const Index index = index_of(y.shape, i);
      element(y, index) = in[2].values[static_cast<size_t>(index[1])];
    }
    for_each_term(in[0].shape, in[1].shape, y.shape, o,
                  [&](const Index& i, const Index& j, const Index& k) {
                    element(y, i) += at(in[0], j) * at(in[1], k);
                  });
    return y;
  };
}

/// dx and dw of (x, w) for dy.
inline Arrays conv_gradients(const Array& x, const Array& w, const Array& dy,
                             const Conv2dOptions& o) {
  Array dx = zeros_array(x.shape), dw = zeros_array(w.shape);
  for_each_term(x.shape, w.shape, dy.shape, o, [&](const Index& i, const Index& j, const Index& k) {
    element(dx, j) += at(dy, i) * at(w, k);
    element(dw, k) += at(dy, i) * at(x, j);
  });
  return {dx, dw};
}

/// The elements of x in the window of y's element at `index`, with their indices in x.
inline std::vector<Index> window_of(const Shape& x, const Index& index, Size2d kernel,
                                    Size2d stride, Size2d padding) {
  std::vector<Index> result;
  for (int64_t i = 0; i < kernel.height; ++i) {
    for (int64_t j = 0; j < kernel.width; ++j) {
      const int64_t row = index[2] * stride.height - padding.height + i;
      const int64_t column = index[3] * stride.width - padding.width + j;
      if (row < 0 || row >= x[2] || column < 0 || column >= x[3]) continue;
      result.push_back({index[0], index[1], row, column});
    }
  }
  return result;
}

inline Shape pool_shape(const Shape& x, Size2d kernel, Size2d stride, Size2d padding) {
  return {x[0], x[1], windows(x[2], kernel.height, stride.height, padding.height),
          windows(x[3], kernel.width, stride.width, padding.width)};
}

/// Whole numbers in a range, and shapes made of them.
class Dice {
 public:
  explicit Dice(uint32_t seed) : random_(seed) {}
  int64_t operator()(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(random_() % static_cast<uint64_t>(high - low + 1));
  }
  Size2d size(int64_t low, int64_t high) {
    const int64_t height = (*this)(low, high);
    return {height, (*this)(low, high)};
  }
  Array array(const Shape& shape) {
    Array x = zeros_array(shape);
    for (double& value : x.values) value = static_cast<double>((*this)(-1000, 1000)) / 512;
    return x;
  }

 private:
  std::mt19937 random_;
};

inline Tensor tensor_of(const Array& x, DType dtype = DType::f64) {
  return from_vector(x.values, x.shape, {dtype});
}

/// The largest |got - want| over the larger of 1 and |want|; NaN counts as infinite.
inline double distance(const Tensor& got, const Array& want) {
  REQUIRE(got.shape() == want.shape);
  const std::vector<double> values = got.to_vector<double>();
  double worst = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const double error =
        std::abs(values[i] - want.values[i]) / std::max(1.0, std::abs(want.values[i]));
    if (!(error <= worst)) worst = std::isnan(error) ? INFINITY : error;
  }
  return worst;
}

}  // namespace tenet::test
